/* SPDX-License-Identifier: MIT */
/* Is the other side who it should be? And what an alert of the other side means, in a sentence. */
#ifndef TRANSPORT_VERIFY_H
#define TRANSPORT_VERIFY_H

#include "transport_tls.h"

/*
 * Looks at the certificate that the other side has sent. 0: it is good, tls->who has its name.
 * Otherwise tls->err is filled in, the other side has been sent an alert, and the result is for
 * gnutls.
 */
int transport_verify_peer(struct transport_tls *tls);

/* Fills err in for the result `rc` of a failed call of gnutls. Returns -1. */
int transport_verify_explain(struct transport_tls *tls, int rc, struct gw_error *err);

#endif
