/** One rule as the engine's API takes it, inside `SecurityOpt: ["seccomp=<json>"]`. */
export interface SeccompRule {
  readonly names: readonly string[];
  readonly action: "SCMP_ACT_ALLOW" | "SCMP_ACT_ERRNO";
  readonly errnoRet?: number;
  readonly args?: readonly {
    readonly index: number;
    readonly value: number;
    readonly valueTwo?: number;
    readonly op: "SCMP_CMP_EQ" | "SCMP_CMP_MASKED_EQ";
  }[];
  readonly includes?: { readonly arches: readonly string[] };
}

export interface SeccompProfile {
  readonly defaultAction: "SCMP_ACT_ERRNO";
  readonly archMap: readonly { readonly architecture: string; readonly subArchitectures: readonly string[] }[];
  readonly syscalls: readonly SeccompRule[];
}

/**
 * What programs need, by kind; all else fails with EPERM. Not here, and so denied: io_uring_*, keyctl, add_key, request_key, bpf, userfaultfd, perf_event_open,
 * mount and its kin, setns, unshare, pivot_root, kexec, modules, clocks, quota, swap, fanotify, kcmp, lookup_dcookie, memfd_secret, NUMA policies.
 */
const allowed: Readonly<Record<string, string>> = {
  files: `access chdir chmod chown close close_range copy_file_range creat dup dup2 dup3 faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2
    fchown fchownat fcntl fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstatfs fsync ftruncate futimesat getcwd getdents getdents64 getxattr
    getxattrat ioctl lchown lgetxattr link linkat listxattr listxattrat llistxattr lremovexattr lseek lsetxattr lstat mkdir mkdirat mknod mknodat name_to_handle_at
    newfstatat open openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv removexattr removexattrat rename
    renameat renameat2 rmdir sendfile setxattr setxattrat splice stat statfs statx symlink symlinkat sync sync_file_range syncfs tee truncate umask unlink
    unlinkat utime utimensat utimes vmsplice write writev`,
  events: `epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents io_setup io_submit pipe pipe2 poll ppoll pselect6 select signalfd signalfd4
    timerfd_create timerfd_gettime timerfd_settime`,
  memory: `brk cachestat madvise map_shadow_stack membarrier memfd_create mincore mlock mlock2 mlockall mmap mprotect mremap mseal msync munlock munlockall munmap
    pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages`,
  processes: `alarm arch_prctl capget capset execve execveat exit exit_group fork getcpu getegid geteuid getgid getgroups getitimer getpgid getpgrp getpid getppid
    getpriority getresgid getresuid getrlimit getrusage getsid gettid getuid get_robust_list get_thread_area ioprio_get ioprio_set kill pause pidfd_open
    pidfd_send_signal prctl prlimit64 process_vm_readv process_vm_writev ptrace restart_syscall rseq rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo
    rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam sched_get_priority_max sched_get_priority_min
    sched_getscheduler sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield setfsgid setfsuid setgid setgroups
    setitimer setpgid setpriority setregid setresgid setresuid setreuid setrlimit setsid setuid set_robust_list set_thread_area set_tid_address sigaltstack
    sysinfo tgkill times tkill uname vfork wait4 waitid`,
  synchronisation: `futex futex_requeue futex_wait futex_waitv futex_wake mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink msgctl msgget msgrcv
    msgsnd semctl semget semop semtimedop shmat shmctl shmdt shmget`,
  time: `adjtimex clock_adjtime clock_getres clock_gettime clock_nanosleep gettimeofday nanosleep time timer_create timer_delete timer_getoverrun timer_gettime
    timer_settime`,
  sockets: `accept accept4 bind connect getpeername getsockname getsockopt listen recvfrom recvmmsg recvmsg sendmmsg sendmsg sendto setsockopt shutdown`,
  "sandboxes of programs themselves": `getrandom landlock_add_rule landlock_create_ruleset landlock_restrict_self seccomp`,
};

/** Every CLONE_NEW… flag that clone(2) takes: mount, cgroup, UTS, IPC, user, pid and network namespaces. */
const NAMESPACE_FLAGS = 0x7e02_0000;
const ENOSYS = 38;
/** Address families: unix, IPv4, IPv6, netlink (getifaddrs). AF_VSOCK (40) ignores network namespaces; AF_ALG (38) and the rest nobody needs. */
const SOCKET_FAMILIES = [1, 2, 10, 16];
/** personality(2): Linux, 32-bit addresses and UNAME26 on top of it, and asking for what is set. */
const PERSONALITIES = [0x0, 0x8, 0x2_0000, 0x2_0008, 0xffff_ffff];

const allow = (name: string, index: number, value: number): SeccompRule => ({
  names: [name],
  action: "SCMP_ACT_ALLOW",
  args: [{ index, value, op: "SCMP_CMP_EQ" }],
});

/**
 * The system calls that a sandbox may make, whatever the engine's own default is. An architecture's other ABIs (i386 and x32 beside amd64, arm beside arm64) are
 * absent, so that their calls, `socketcall` among them, end the caller.
 */
export const seccompProfile: SeccompProfile = {
  defaultAction: "SCMP_ACT_ERRNO",
  archMap: [
    { architecture: "SCMP_ARCH_X86_64", subArchitectures: [] },
    { architecture: "SCMP_ARCH_AARCH64", subArchitectures: [] },
  ],
  syscalls: [
    { names: Object.values(allowed).flatMap((names) => names.split(/\s+/u)), action: "SCMP_ACT_ALLOW" },
    ...SOCKET_FAMILIES.map((family) => allow("socket", 0, family)),
    allow("socketpair", 0, 1),
    ...PERSONALITIES.map((value) => allow("personality", 0, value)),
    { names: ["clone"], action: "SCMP_ACT_ALLOW", args: [{ index: 0, value: NAMESPACE_FLAGS, valueTwo: 0, op: "SCMP_CMP_MASKED_EQ" }] },
    // its flags lie in memory, where no filter sees them; with ENOSYS the C library falls back to clone
    { names: ["clone3"], action: "SCMP_ACT_ERRNO", errnoRet: ENOSYS },
  ],
};
