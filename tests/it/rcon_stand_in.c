/* rcon_stand_in - tests/unit/rcon_server.c as a program.
 *
 *   rcon_stand_in PORT-FILE LOG PASSWORD [FLUSH-MS [DROP]]
 *
 * Writes its port into PORT-FILE, and a line for each command into LOG. Ends with its standard input. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/unit/rcon_server.h"

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	struct rcon_server s = {.log = argv[2], .password = argv[3],
		.flush_ms = argc > 4 ? atoi(argv[4]) : 0, .drop = argc > 5 ? argv[5] : NULL};
	pthread_t t;
	char byte;
	if (rcon_server_listen(&s) < 0 || pthread_create(&t, NULL, rcon_server_run, &s) != 0)
		return 1;
	FILE *f = fopen(argv[1], "w");
	if (!f || fprintf(f, "%u\n", s.port) < 0 || fclose(f) != 0)
		return 1;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
