/* All commands in one table, from which the help is made, too. */
#include "ctl-internal.h"

static const struct command commands[] = {
    {"stats", "[--route NAME] [--window minute|hour|start] [LABEL=VALUE]...",
     "hits, misses, bytes and times of each route", stats_options, build_stats, show_stats, false},
    {"invalidate",
     "(--key K | --url-of URL | --path TEMPLATE | --glob G | --tag T... |\n"
     "--all-of T --all-of T... | --route NAME [--param L=V]... | --all)\n"
     "[--soft|--hard] [--refresh] [--wait] [--dry-run]",
     "remove answers", invalidate_options, build_invalidate, show_invalidated, false},
    {"warm",
     "(URL... | --route NAME --param L=V1,V2,... [--param ...] | --hottest N)\n"
     "[--concurrency N] [--rate N] [--header 'Name: value']... [--no-wait]",
     "fetch answers before they are asked for, and show how far it is", warm_options, build_warm,
     show_job, true},
    {"jobs", "[ID]", "the warm jobs, or one with its URLs", no_options, build_jobs, show_jobs,
     false},
    {"cancel", "ID", "stop a warm job", no_options, build_cancel, show_job, false},
    {"retry", "ID", "run what failed of a warm job again", no_options, build_retry, show_job,
     false},
    {"keys", "[--route NAME] [--tag T] [--glob G] [--limit N] [--offset N]", "what is cached",
     keys_options, build_keys, show_keys, false},
    {"entry", "(--key K | --url-of URL) [--body]", "one cached answer", entry_options, build_entry,
     show_json, false},
    {"explain", "METHOD URL [--header 'N: v']... [--data BODY]",
     "what larder would do with a request, and why", explain_options, build_explain, show_members,
     false},
    {"routes", "", "the routes and how they are set", no_options, build_routes, show_routes, false},
    {"route", "NAME (on | off | ttl DURATION | ttl config)",
     "cache a route or not, or change its ttl, until larder restarts", no_options, build_route,
     show_members, false},
};

const struct command *command_find(const char *name)
{
    for (unsigned i = 0; i < array_len(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

void command_format(const struct command *c, struct buf *out)
{
    buf_add_fmt(out, "  larder ctl %s%s", c->name, *c->usage ? " " : "");
    for (const char *p = c->usage; *p; p++) {
        if (*p == '\n')
            buf_add_str(out, "\n          ");
        else
            buf_add_char(out, *p);
    }
    buf_add_fmt(out, "\n      %s\n", c->what);
}

void commands_format(struct buf *out)
{
    buf_add_str(out, "larder ctl: steers a running larder\n\n"
                     "  larder ctl [OPTION]... COMMAND ...\n\n"
                     "  --url URL          its control API (LARDER_URL, or "
                     "http://127.0.0.1:8081)\n"
                     "  --socket PATH      the same over a Unix socket\n"
                     "  --token-file FILE  holds the bearer token (or LARDER_TOKEN is the token)\n"
                     "  --json             print the answer as it came\n"
                     "  -h                 print this\n\n");
    for (unsigned i = 0; i < array_len(commands); i++)
        command_format(&commands[i], out);
    buf_add_str(out, "\nExit codes: 0 done, 1 refused or something failed, 2 wrong arguments, 3 no "
                     "connection.\n");
}
