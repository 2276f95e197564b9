/* http_sink - takes HTTP requests and writes down what came.
 *
 *   http_sink PORT-FILE LOG [STATUS]
 *
 * A line "METHOD PATH BODY" for each request (line ends of the body as spaces). Answers with STATUS (200). Ends with
 * its standard input. One request at a time. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *log_path, *status = "200";
static int listener;

static void one(int fd)
{
	static char b[1 << 18];
	size_t n = 0, want = sizeof b - 1;
	char *body = NULL;
	while (n < want) {
		ssize_t r = read(fd, b + n, want - n);
		if (r <= 0)
			break;
		n += (size_t)r;
		b[n] = 0;
		body = body ? body : strstr(b, "\r\n\r\n");
		if (body) {
			char *length = strcasestr(b, "\r\nContent-Length:");
			size_t end = (size_t)(body - b) + 4 +
				     (length && length < body ? strtoul(length + 17, NULL, 10) : 0);
			want = end < sizeof b - 1 ? end : sizeof b - 1;
		}
	}
	FILE *f = fopen(log_path, "a");
	if (f && body) {
		fprintf(f, "%.*s ", (int)strcspn(strchr(b, ' ') + 1, " ") + (int)(strchr(b, ' ') + 1 - b), b);
		for (char *p = body + 4; *p; p++)
			fputc(*p == '\n' || *p == '\r' ? ' ' : *p, f);
		fputc('\n', f);
	}
	if (f)
		fclose(f);
	char answer[100];
	int k = snprintf(answer, sizeof answer,
		"HTTP/1.1 %s X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", status);
	(void)!write(fd, answer, (size_t)k);
	close(fd);
}

static void *serve(void *ctx)
{
	(void)ctx;
	for (int fd; (fd = accept(listener, NULL, NULL)) >= 0;)
		one(fd);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof a;
	pthread_t t;
	char byte;
	if (argc < 3)
		return 2;
	log_path = argv[2];
	status = argc > 3 ? argv[3] : "200";
	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(listener, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener, 16) < 0 ||
		getsockname(listener, (struct sockaddr *)&a, &len) < 0 ||
		pthread_create(&t, NULL, serve, NULL) != 0)
		return 1;
	FILE *f = fopen(argv[1], "w");
	if (!f || fprintf(f, "%d\n", ntohs(a.sin_port)) < 0 || fclose(f) != 0)
		return 1;
	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
	return 0;
}
