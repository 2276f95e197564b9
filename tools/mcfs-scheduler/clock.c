#include <time.h>

#include "tools/mcfs-scheduler/scheduler.h"

static int64_t read_ms(clockid_t id)
{
	struct timespec t;
	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void clock_init(struct sched_clock *c, const struct options *o)
{
	*c = (struct sched_clock){.made_up = o->now_ms >= 0, .scale = o->scale,
		.start_wall = o->now_ms, .start_mono = read_ms(CLOCK_MONOTONIC)};
}

struct moment clock_now(const struct sched_clock *c)
{
	int64_t mono = read_ms(CLOCK_MONOTONIC);
	if (!c->made_up)
		return (struct moment){read_ms(CLOCK_REALTIME), mono};
	int64_t passed = (int64_t)((double)(mono - c->start_mono) * c->scale) + c->skipped;
	return (struct moment){c->start_wall + passed, c->start_mono + passed};
}

void clock_skip(struct sched_clock *c, int64_t ms)
{
	if (c->made_up)
		c->skipped += ms;
}
