/* ctl.h: "larder ctl", the terminal client of the control API.
 *
 * A process of its own beside the daemon: it makes one call (or, for a warm job, follows one),
 * prints the answer and ends. Plain blocking sockets; no part of the daemon is started.
 * Thread: main.
 */
#ifndef LARDER_CTL_CTL_H
#define LARDER_CTL_CTL_H

/* Runs one command; argv[0] is "ctl", options and the command follow. Returns the exit code: 0
 * done, 1 larder refused (or something of a warm job failed), 2 the arguments are wrong, 3 no
 * larder could be reached. Answers go to stdout, everything else to stderr. */
int ctl_main(int argc, char **argv);

#endif
