/* SPDX-License-Identifier: MIT */
#include "resolve.h"

/* The other side has it: nothing that somebody checked can be newer. */
static enum gw_resolve decide_there(enum gw_resolve wanted, const char **ret_why)
{
    *ret_why = "it is there: destroy it there first, if that is what you want";
    return wanted == GW_RESOLVE_HERE ? GW_RESOLVE_ASK : GW_RESOLVE_THERE;
}

static enum gw_resolve decide_never_ran(enum gw_resolve wanted, const char **ret_why)
{
    *ret_why = "it has never run there: to end this copy would lose it; use --here, or godwit "
               "destroy";
    return wanted == GW_RESOLVE_THERE ? GW_RESOLVE_ASK : GW_RESOLVE_HERE;
}

/* Nobody knows but the operator. */
static enum gw_resolve decide_alone(enum gw_resolve wanted, enum gw_checked checked,
                                    const char **ret_why)
{
    bool never = checked == GW_CHECKED_NEVER_RAN || checked == GW_CHECKED_NO_POWER;

    *ret_why = "look there, and say what you saw: --there --checked runs-there, --here --checked "
               "never-ran, or --here --checked no-power";
    if (wanted == GW_RESOLVE_HERE && never)
        return GW_RESOLVE_HERE;
    if (wanted == GW_RESOLVE_THERE && checked == GW_CHECKED_RUNS_THERE)
        return GW_RESOLVE_THERE;
    return GW_RESOLVE_ASK;
}

enum gw_resolve resolve_decide(enum gw_resolve wanted, enum gw_checked checked, uint32_t where,
                               const char **ret_why)
{
    switch (where) {
    case HANDOVER_HERE:
        return decide_there(wanted, ret_why);
    case HANDOVER_NEVER_RAN:
        return decide_never_ran(wanted, ret_why);
    case HANDOVER_ARRIVING:
        *ret_why = "it is being started there at this moment: ask again";
        return GW_RESOLVE_ASK;
    default: /* not there, which it may have been; or no answer */
        return decide_alone(wanted, checked, ret_why);
    }
}
