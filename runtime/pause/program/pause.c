/*
 * pause holds a pod's namespaces open. It sleeps until TERM or INT ends it and,
 * where it is the first process of a PID namespace (always, unless the pod uses
 * the host's), reaps the orphans that the kernel hands to it.
 *
 * It is freestanding: no C library, no start-up code, no data, no handlers. The
 * signals it waits for stay blocked for ever, which is also what makes them
 * reach it as PID 1: the kernel drops what PID 1 neither blocks nor handles.
 */

#if defined(__x86_64__)

enum { SYS_rt_sigprocmask = 14, SYS_rt_sigtimedwait = 128, SYS_wait4 = 61, SYS_exit = 60 };

static long syscall4(long nr, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long ret;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return ret;
}

#elif defined(__aarch64__)

enum { SYS_rt_sigprocmask = 135, SYS_rt_sigtimedwait = 137, SYS_wait4 = 260, SYS_exit = 93 };

static long syscall4(long nr, long a, long b, long c, long d)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
	return x0;
}

#else
#error "no system calls known for this machine"
#endif

enum { SIGINT = 2, SIGTERM = 15, SIGCHLD = 17 };
enum { SIG_BLOCK = 0, WNOHANG = 1 };

#define BIT(sig) (1UL << ((sig)-1))

/* reap collects every child that has ended; SIGCHLDs merge, so one may tell of many. */
static void reap(void)
{
	while (syscall4(SYS_wait4, -1, 0, WNOHANG, 0) > 0)
		;
}

__attribute__((noreturn)) void _start(void)
{
	const unsigned long waited = BIT(SIGINT) | BIT(SIGTERM) | BIT(SIGCHLD);
	long sig;

	syscall4(SYS_rt_sigprocmask, SIG_BLOCK, (long)&waited, 0, sizeof waited);
	do {
		reap();
		sig = syscall4(SYS_rt_sigtimedwait, (long)&waited, 0, 0, sizeof waited);
	} while (sig != SIGINT && sig != SIGTERM);
	for (;;)
		syscall4(SYS_exit, 0, 0, 0, 0);
}
