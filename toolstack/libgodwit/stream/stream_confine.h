/* SPDX-License-Identifier: MIT */
/* What is left to the process that reads a stream: reading it, writing down what it found, ending.
 */
#ifndef STREAM_CONFINE_H
#define STREAM_CONFINE_H

/* Its descriptors, once confined. */
enum { STREAM_FD_STREAM, STREAM_FD_PIPE, STREAM_FD_RETURNED, STREAM_FDS };

/*
 * Keeps these three (the stream, the pipe to the builder, the eventfd of returned slots) at the
 * places above, closes all other descriptors, and gives up every other way of reaching the system.
 * The stream may be a socket: it can be read then, and not written. Changes fds to where they are
 * now, also if it fails: then -1, and the caller is not confined.
 */
int stream_confine(int fds[STREAM_FDS]);

#endif
