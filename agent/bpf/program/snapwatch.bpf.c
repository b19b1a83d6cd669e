// SPDX-License-Identifier: MIT OR GPL-2.0

// Programs that read every process in one pass, and report those that start and end. Package bpf of the agent loads
// them, and decodes what they write; its structures must match these.
#include "kernel.h"

char program_license[] SEC("license") = "Dual MIT/GPL";

enum {
	EXIT_DEAD = 0x10,
	MAX_CPUS = 1024,
	MAX_OPEN_FILES = 4096, // more are not counted here
	SHORT_ARGUMENTS = 120,
	MEDIUM_ARGUMENTS = 600,
	LONG_ARGUMENTS = 4096,
};

// These are set before the programs are loaded.
const volatile u32 possible_cpus = 0;
const volatile u64 wake_bytes = 0; // user space is woken when the ring buffer has more

// as_number returns the address in a pointer. The verifier does not allow to compute with some pointers.
static ALWAYS_INLINE u64 as_number(const void *pointer)
{
	const void *volatile stored = pointer;
	u64 number = 0;
	bpf_probe_read_kernel(&number, sizeof number, (const void *)&stored);
	return number;
}

// cgroups_key identifies the control groups of a process, of both versions. Their ids are never used again.
static ALWAYS_INLINE u64 cgroups_key(struct css_set *set)
{
	u64 key = as_number(set) + set->dfl_cgrp->kn->id; // the address, because version 1 has hierarchies without ids
	u32 controllers = FIELD_SIZE(set->subsys) / sizeof(void *);
#pragma clang loop unroll(full)
	for (u32 i = 0; i < MAX_CONTROLLERS; i++)
		if (i < controllers)
			key = key * 0x9E3779B97F4A7C15 + set->subsys[i]->cgroup->kn->id;
	return key;
}

// Since Linux 6.2, each CPU has a part of the size of a process in memory.
struct {
	int (*type)[BPF_MAP_TYPE_PERCPU_ARRAY];
	int (*max_entries)[1];
	u32 *key;
	u64 *value;
} per_cpu SEC(".maps");
u64 per_cpu_offset[MAX_CPUS];

// find_per_cpu_offsets compares the address of a variable on each CPU with the one that all share.
static ALWAYS_INLINE void find_per_cpu_offsets(void)
{
	const struct bpf_array *array = (void *)as_number(&per_cpu);
	u64 shared = 0;
	u32 first = 0;
	bpf_probe_read_kernel(&shared, sizeof shared, &array->pptrs[0]);
	for (u32 cpu = 0; cpu < possible_cpus && cpu < MAX_CPUS; cpu++)
		per_cpu_offset[cpu] = as_number(bpf_map_lookup_percpu_elem(&per_cpu, &first, cpu)) - shared;
}

// resident_pages returns the size of a process in memory: pages of files, anonymous ones and shared ones.
static ALWAYS_INLINE s64 resident_pages(struct mm_struct *mm)
{
	if (TYPE_EXISTS(struct mm_rss_stat)) {
		// Its verifier does not follow arrays of type atomic_long_t.
		struct mm_struct___until_6_1 *old = (void *)mm;
		s64 count[4] = {};
		bpf_probe_read_kernel(count, sizeof count, &old->rss_stat);
		return count[0] + count[1] + count[3];
	}
	if (!per_cpu_offset[0])
		find_per_cpu_offsets();
	s64 pages = mm->rss_stat[0].count + mm->rss_stat[1].count + mm->rss_stat[3].count;
	const char *counters[4];
	counters[0] = (const char *)mm->rss_stat[0].counters;
	counters[1] = (const char *)mm->rss_stat[1].counters;
	counters[3] = (const char *)mm->rss_stat[3].counters;
	int together = counters[1] - counters[0] == 4 && counters[3] - counters[0] == 12; // since Linux 6.6
	for (u32 cpu = 0; cpu < possible_cpus && cpu < MAX_CPUS; cpu++) {
		u64 offset = per_cpu_offset[cpu];
		s32 part[4] = {};
		if (together) {
			bpf_probe_read_kernel(part, sizeof part, counters[0] + offset);
		} else {
			bpf_probe_read_kernel(&part[0], sizeof part[0], counters[0] + offset);
			bpf_probe_read_kernel(&part[1], sizeof part[1], counters[1] + offset);
			bpf_probe_read_kernel(&part[3], sizeof part[3], counters[3] + offset);
		}
		pages += part[0] + part[1] + part[3];
	}
	return pages;
}

// open_files counts the open files of a process. It returns -1 for more than MAX_OPEN_FILES.
static ALWAYS_INLINE int open_files(struct files_struct *files)
{
	struct fdtable *table = files->fdt;
	u32 max = table->max_fds;
	unsigned long *bits = table->open_fds;
	int count = 0;
	if (max > MAX_OPEN_FILES)
		return -1;
	for (u32 i = 0; i < MAX_OPEN_FILES / 64 && i * 64 < max; i++) {
		u64 word = 0;
		bpf_probe_read_kernel(&word, sizeof word, bits + i);
		count += __builtin_popcountll(word);
	}
	return count;
}

// thread_record is what the iterator writes for a thread.
struct thread_record {
	u32 size, pid, tgid, flags;
	u64 run; // CPU time, in nanoseconds, until the last tick or switch
	u64 read_bytes, write_bytes;
};

// process_record is what it writes for the main thread of a process.
struct process_record {
	struct thread_record thread;
	u64 start; // nanoseconds since boot, with suspends
	u64 exec_id, cgroups;
	u64 ended_run; // of threads that have been removed
	u64 child_run; // of children that it has waited for
	u64 child_faults;
	u64 removed_read_bytes, removed_write_bytes; // of both
	u64 signal; // identifies the process
	s64 pages;
	u32 ppid, uid, state, exit_state;
	s32 threads, open_files;
	char comm[16];
};

SEC("iter/task")
int tasks(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	if (!task)
		return 0;
	struct process_record r = {};
	r.thread.pid = task->pid;
	r.thread.tgid = task->tgid;
	r.thread.flags = task->flags;
	r.thread.run = task->se.sum_exec_runtime;
	r.thread.read_bytes = task->ioac.read_bytes;
	r.thread.write_bytes = task->ioac.write_bytes;
	if (r.thread.pid != r.thread.tgid) {
		if (task->exit_state == EXIT_DEAD) // its values are in those of the removed threads
			return 0;
		r.thread.size = sizeof r.thread;
		bpf_seq_write(ctx->meta->seq, &r, sizeof r.thread);
		return 0;
	}
	r.thread.size = sizeof r;
	struct signal_struct *signal = task->signal;
	r.start = task->start_boottime;
	r.exec_id = task->self_exec_id;
	r.cgroups = cgroups_key(task->cgroups);
	r.ended_run = signal->sum_sched_runtime;
	r.child_run = signal->cutime + signal->cstime;
	r.removed_read_bytes = signal->ioac.read_bytes;
	r.removed_write_bytes = signal->ioac.write_bytes;
	r.child_faults = signal->cmin_flt + signal->cmaj_flt; // last: a child can be waited for in between
	r.signal = as_number(signal);
	r.threads = signal->nr_threads;
	r.ppid = task->real_parent->tgid;
	r.uid = task->real_cred->euid.val;
	if (FIELD_EXISTS(task->__state))
		r.state = task->__state;
	else
		r.state = ((struct task_struct___until_5_13 *)task)->state;
	r.exit_state = task->exit_state;
	bpf_probe_read_kernel(r.comm, sizeof r.comm, task->comm);
	struct mm_struct *mm = task->mm;
	if (mm)
		r.pages = resident_pages(mm);
	struct files_struct *files = task->files;
	if (files)
		r.open_files = open_files(files);
	bpf_seq_write(ctx->meta->seq, &r, sizeof r);
	return 0;
}

// Events go to user space through one ring buffer. Its size is set before the programs are loaded.
struct {
	int (*type)[BPF_MAP_TYPE_RINGBUF];
} events SEC(".maps");

u64 lost; // events that did not fit

enum event_kind { EVENT_FORK = 1, EVENT_EXEC, EVENT_EXIT, EVENT_FREE };

// event is the start of each event. Times are in nanoseconds since boot, with suspends.
struct event {
	u32 kind, pid, tgid, uid;
	u64 start; // of the thread pid
	u64 signal; // identifies the process, also after its pid is used again
};

struct fork_event {
	struct event event;
	u32 ppid;
	u32 copied_from; // the process with the same program until exec
};

struct exec_event {
	struct event event;
	u64 cgroups;
	u32 length; // of all arguments
	u32 stored; // of those that follow
	char comm[16];
	char arguments[];
};

// exit_event is sent when the last thread of a process ends.
struct exit_event {
	struct event event;
	u64 cgroups;
	s64 peak_pages; // of its last program; -1 if its memory has been removed
	u64 run, waited, sleeps; // of the last thread, without its last tick
	u64 thread_start;
	u64 at;
	u64 others_run; // of the other threads
	u32 ppid;
	u32 wait_status; // as wait(2) reports it
	char comm[16];
};

// free_event is sent when a thread has been removed. Only then is its CPU time complete.
struct free_event {
	struct event event;
	u64 run;
	u64 ended_run; // of this one and all others of its process that have been removed, without their last ticks
	u64 read_bytes, write_bytes;
	u64 ended_read_bytes, ended_write_bytes; // like ended_run, or 0 if the kernel's sum has those of children too
};

static ALWAYS_INLINE u64 wake_up(void)
{
	return bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA) > wake_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
}

static ALWAYS_INLINE void *reserve(u64 size)
{
	void *event = bpf_ringbuf_reserve(&events, size, 0);
	if (!event)
		__sync_fetch_and_add(&lost, 1);
	return event;
}

static ALWAYS_INLINE void fill(struct event *e, u32 kind, struct task_struct *task)
{
	e->kind = kind;
	e->pid = task->pid;
	e->tgid = task->tgid;
	e->uid = task->real_cred->euid.val;
	e->start = task->start_boottime;
	e->signal = as_number(task->signal);
}

SEC("tp_btf/sched_process_fork")
int on_fork(u64 *ctx)
{
	struct task_struct *child = (void *)ctx[1];
	if (child->pid != child->tgid)
		return 0;
	struct fork_event *e = reserve(sizeof *e);
	if (!e)
		return 0;
	fill(&e->event, EVENT_FORK, child);
	e->ppid = child->real_parent->tgid;
	e->copied_from = ((struct task_struct *)ctx[0])->tgid;
	bpf_ringbuf_submit(e, wake_up());
	return 0;
}

#define SEND_EXEC(space)                                                                             \
	do {                                                                                         \
		struct exec_event *e = reserve(sizeof *e + space);                                   \
		if (!e)                                                                              \
			return 0;                                                                    \
		fill(&e->event, EVENT_EXEC, task);                                                   \
		e->cgroups = cgroups_key(task->cgroups);                                             \
		bpf_probe_read_kernel(e->comm, sizeof e->comm, task->comm);                          \
		e->length = length;                                                                  \
		u64 stored = length;                                                                 \
		asm volatile("" : "+r"(stored)); /* keeps the next comparison, for the verifier */   \
		if (stored > space)                                                                  \
			stored = space;                                                              \
		e->stored = bpf_probe_read_user(e->arguments, stored, (void *)start) ? 0 : stored;   \
		bpf_ringbuf_submit(e, wake_up());                                                    \
	} while (0)

SEC("tp_btf/sched_process_exec")
int on_exec(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct mm_struct *mm = task->mm;
	if (!mm)
		return 0;
	u64 start = mm->arg_start;
	u64 end = mm->arg_end;
	u32 length = end > start ? end - start : 0;
	if (length <= SHORT_ARGUMENTS)
		SEND_EXEC(SHORT_ARGUMENTS);
	else if (length <= MEDIUM_ARGUMENTS)
		SEND_EXEC(MEDIUM_ARGUMENTS);
	else
		SEND_EXEC(LONG_ARGUMENTS);
	return 0;
}

static ALWAYS_INLINE int send_exit(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	if (signal->live.counter != 0)
		return 0;
	struct exit_event *e = reserve(sizeof *e);
	if (!e)
		return 0;
	struct task_struct *leader = task->group_leader;
	fill(&e->event, EVENT_EXIT, leader);
	e->cgroups = cgroups_key(leader->cgroups);
	struct mm_struct *mm = task->mm;
	e->peak_pages = -1;
	if (mm) {
		s64 pages = resident_pages(mm);
		s64 peak = mm->hiwater_rss;
		e->peak_pages = pages > peak ? pages : peak;
	}
	e->run = task->se.sum_exec_runtime;
	e->waited = task->sched_info.run_delay;
	e->sleeps = task->nvcsw;
	e->thread_start = task->start_boottime;
	e->others_run = signal->sum_sched_runtime;
	if (task != leader)
		e->others_run += leader->se.sum_exec_runtime; // it is removed after the others
	e->at = bpf_ktime_get_boot_ns();
	e->ppid = leader->real_parent->tgid;
	if (signal->flags & SIGNAL_GROUP_EXIT)
		e->wait_status = signal->group_exit_code;
	else // before Linux 6.0, if each thread has ended by itself
		e->wait_status = leader->exit_code;
	bpf_probe_read_kernel(e->comm, sizeof e->comm, leader->comm);
	bpf_ringbuf_submit(e, wake_up());
	return 0;
}

SEC("tp_btf/sched_process_exit")
int on_exit(u64 *ctx)
{
	return send_exit((void *)ctx[0]);
}

// on_early_exit is used instead of on_exit before Linux 6.16: there, a process has no memory any more at the tracepoint.
SEC("fentry/taskstats_exit")
int on_early_exit(u64 *ctx)
{
	return send_exit((void *)ctx[0]);
}

SEC("tp_btf/sched_process_free")
int on_free(u64 *ctx)
{
	struct task_struct *task = (void *)ctx[0];
	struct signal_struct *signal = task->signal;
	struct free_event *e = reserve(sizeof *e);
	if (!e)
		return 0;
	fill(&e->event, EVENT_FREE, task);
	e->run = task->se.sum_exec_runtime;
	e->ended_run = signal->sum_sched_runtime;
	e->read_bytes = task->ioac.read_bytes;
	e->write_bytes = task->ioac.write_bytes;
	int waited = signal->cmin_flt + signal->cmaj_flt != 0; // for children
	e->ended_read_bytes = waited ? 0 : signal->ioac.read_bytes;
	e->ended_write_bytes = waited ? 0 : signal->ioac.write_bytes;
	bpf_ringbuf_submit(e, wake_up());
	return 0;
}
