package main

import (
	"fmt"
	"strings"
	"syscall"
)

var signalNames = strings.Fields(`0 SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE SIGALRM
	SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH SIGIO SIGPWR SIGSYS`)

// firstRealtimeSignal as the C library counts: it keeps the two below for itself.
const firstRealtimeSignal = 34

func signalName(number syscall.Signal) string {
	switch {
	case int(number) < len(signalNames):
		return signalNames[number]
	case number == firstRealtimeSignal:
		return "SIGRTMIN"
	case number > firstRealtimeSignal:
		return fmt.Sprintf("SIGRTMIN+%d", number-firstRealtimeSignal)
	}
	return fmt.Sprintf("SIG%d", number)
}

func signalByName(name string) (syscall.Signal, bool) {
	for number := syscall.Signal(1); number < 65; number++ {
		if signalName(number) == name {
			return number, true
		}
	}
	return 0, false
}

// signalControl obeys CONTROL `signal`; a wrong one is answered by an event and changes nothing.
func (s *stream) signalControl(m *members, p *process) {
	name := m.text("name")
	control := m.text("control")
	number, known := signalByName(name)
	if m.err() != nil || control != "signal" || !known {
		s.event(map[string]any{"event": "refused", "code": "invalid_argument", "message": "no signal " + name})
		return
	}
	p.signal(number)
}
