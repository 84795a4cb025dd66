/* SPDX-License-Identifier: MIT */
/* Writers of dirty_log.pml that take no fault for each page: they mark by themselves. */

/* dirty_log_mark */
inline mark_if_logging(q)
{
    read_lock();
    if
    :: root != LOCKED && marking -> mark(bit(q))
    :: root != LOCKED && !marking
    fi;
    read_unlock()
}

/* Who writes through the hypervisor's own mapping marks afterwards, and is in flight until then. */
proctype hyp_writer()
{
    byte p;

    do
    :: stopped -> break
    :: atomic { !stopped -> in_flight++; if :: p = 0 :: p = 1 fi };
#ifdef M_HYP_MARKS_BEFORE_WRITE
       mark_if_logging(p);
       differs = differs | bit(p);
#else
       differs = differs | bit(p);
       mark_if_logging(p);
#endif
       d_step { in_flight--; p = 0 }
    od
}

/* Page 0 in the control domain: its first write pins the page, which marks it, then opens it. */
proctype foreign()
{
    do
    :: stopped -> break
    :: d_step { !stopped && foreign_open -> foreign_tlb = true }
    :: d_step { !stopped && foreign_tlb -> differs = differs | bit(0) }
    :: atomic { !stopped && !foreign_open -> in_flight++ };
#if defined(M_PIN_AFTER_OPEN)
       foreign_open = true;
       if
       :: pinned = true; mark_if_logging(0)
       :: true
       fi;
#elif defined(M_PIN_MARKS_BEFORE_ENTRY)
       mark_if_logging(0);
       pinned = true;
       foreign_open = true;
#else
       if
       :: pinned = true; mark_if_logging(0); foreign_open = true
       :: true /* no memory for a pin: it faults again */
       fi;
#endif
       in_flight--
    :: atomic { !stopped && foreign_open -> in_flight++ };
#ifdef M_UNPIN_BEFORE_UNMAP
       pinned = false;
       mark_if_logging(0);
       if
       :: foreign_tlb -> differs = differs | bit(0) /* another of its CPUs */
       :: true
       fi;
       d_step { foreign_open = false; foreign_tlb = false };
#else
       d_step { foreign_open = false; foreign_tlb = false }; /* unmapped and invalidated */
       pinned = false;
       mark_if_logging(0);
#endif
       in_flight--
    od
}
