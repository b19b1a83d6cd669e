// SPDX-License-Identifier: MIT OR GPL-2.0

// The parts of the kernel that the programs use. Each structure has only the fields that are read. Their places are
// corrected when the programs are loaded (CO-RE), so these declarations fit every kernel with BTF since Linux 5.8.
#pragma once

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define ALWAYS_INLINE inline __attribute__((always_inline))

// Helpers, with the numbers that linux/bpf.h gives them.
static long (*const bpf_probe_read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*const bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static u64 (*const bpf_ktime_get_boot_ns)(void) = (void *)125;
static long (*const bpf_seq_write)(void *seq, const void *data, u32 size) = (void *)127;
static void *(*const bpf_ringbuf_reserve)(void *ring, u64 size, u64 flags) = (void *)131;
static void (*const bpf_ringbuf_submit)(void *data, u64 flags) = (void *)132;
static u64 (*const bpf_ringbuf_query)(void *ring, u64 flags) = (void *)134;
static void *(*const bpf_map_lookup_percpu_elem)(void *map, const void *key, u32 cpu) = (void *)195;

#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_RINGBUF 27
#define BPF_RB_NO_WAKEUP 1
#define BPF_RB_FORCE_WAKEUP 2
#define BPF_RB_AVAIL_DATA 0

// These are known when the programs are loaded. The branch that a kernel cannot take is not checked.
#define FIELD_EXISTS(field) __builtin_preserve_field_info(field, 2)
#define FIELD_SIZE(field) __builtin_preserve_field_info(field, 1)
#define TYPE_EXISTS(type) __builtin_preserve_type_info(*(typeof(type) *)0, 0)

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	u64 id;
};
struct cgroup {
	struct kernfs_node *kn;
};
struct cgroup_subsys_state {
	struct cgroup *cgroup;
};
enum { MAX_CONTROLLERS = 16 };
struct css_set {
	struct cgroup_subsys_state *subsys[MAX_CONTROLLERS];
	struct cgroup *dfl_cgrp;
};
struct fdtable {
	unsigned int max_fds;
	unsigned long *open_fds;
};
struct files_struct {
	struct fdtable *fdt;
};
typedef struct {
	u32 val;
} kuid_t;
struct cred {
	kuid_t euid;
};
typedef struct {
	s32 counter;
} atomic_t;
typedef struct {
	s64 counter;
} atomic_long_t;
struct task_io_accounting {
	u64 read_bytes, write_bytes;
};
struct percpu_counter {
	s64 count;
	s32 *counters;
};
struct mm_rss_stat { // until Linux 6.1
	atomic_long_t count[4];
};
struct mm_struct {
	struct percpu_counter rss_stat[4]; // since Linux 6.2
	unsigned long arg_start, arg_end, hiwater_rss;
};
struct mm_struct___until_6_1 {
	struct mm_rss_stat rss_stat;
};
enum { SIGNAL_GROUP_EXIT = 4 };
struct signal_struct {
	atomic_t live;
	int nr_threads, group_exit_code;
	unsigned int flags;
	u64 cutime, cstime, sum_sched_runtime;
	unsigned long cmin_flt, cmaj_flt;
	struct task_io_accounting ioac;
};
struct sched_info {
	unsigned long long run_delay;
};
struct sched_entity {
	u64 sum_exec_runtime;
};
struct task_struct {
	unsigned int __state, flags; // __state since Linux 5.14
	struct sched_entity se;
	struct sched_info sched_info;
	struct mm_struct *mm;
	int exit_state, exit_code;
	s32 pid, tgid;
	struct task_struct *real_parent, *group_leader;
	unsigned long nvcsw;
	u64 start_boottime, self_exec_id;
	const struct cred *real_cred;
	char comm[16];
	struct files_struct *files;
	struct signal_struct *signal;
	struct task_io_accounting ioac;
	struct css_set *cgroups;
};
struct task_struct___until_5_13 {
	long state;
};
struct seq_file;
struct bpf_iter_meta {
	struct seq_file *seq;
};
struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
};
struct bpf_array {
	void *pptrs[1];
};

#pragma clang attribute pop
