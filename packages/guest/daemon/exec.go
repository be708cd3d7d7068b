package main

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"
)

type execRequest struct {
	argv       []string
	cwd        string
	env        map[string]string
	as         user
	pipedStdin bool
	merged     bool
	output     outputLimit
	timeout    time.Duration
}

// Some thirty years; as a duration it stays far below overflow.
const maxTimeoutMs = int64(1) << 40

func readTimeout(m *members) time.Duration {
	return time.Duration(m.integerOr("timeoutMs", 1, maxTimeoutMs, 0)) * time.Millisecond
}

func (d *daemon) readExec(m *members) (execRequest, error) {
	r := execRequest{argv: m.texts("argv"), cwd: m.path("cwd"), env: m.environment("env"), as: d.agent}
	stdin := m.text("stdin")
	if stdin != "pipe" && stdin != "null" {
		m.refuse("stdin", "pipe or null")
	}
	r.pipedStdin = stdin == "pipe"
	r.merged = m.booleanOr("mergeStderr", false)
	r.output = readOutputLimit(m)
	r.timeout = readTimeout(m)
	if m.err() == nil && (len(r.argv) == 0 || r.argv[0] == "") {
		m.refuse("argv", "a program and its arguments")
	}
	who := m.textOr("user", "")
	if err := m.err(); err != nil {
		return r, invalid(err)
	}
	if who == "" {
		return r, nil
	}
	as, err := lookUpUser(who, d.config.workdir)
	if err != nil {
		return r, err
	}
	if d.isRoot && as.uid == 0 || !d.isRoot && as.uid != d.agent.uid {
		return r, refuse("permission_denied", "EPERM", "user %q: programs cannot run as this user here", who)
	}
	r.as = as
	d.agents.remember(as.uid)
	return r, nil
}

func opExec(d *daemon, s *stream, m *members, key *claim) (*outcome, error) {
	r, err := d.readExec(m)
	if err != nil {
		return nil, err
	}
	if key != nil && !r.output.present {
		return nil, refuse("invalid_argument", "", "a program with a key needs an output limit")
	}
	return key.once(d, s, nil, func(run *callRun) (*outcome, error) { return d.exec(run, s, r) })
}

// exec runs one program from its start to its end.
func (d *daemon) exec(run *callRun, s *stream, r execRequest) (*outcome, error) {
	environment := d.environment(r.as, r.env)
	program, io, err := d.prepareExec(r, environment)
	if err != nil {
		return nil, err
	}
	if err := run.commit(); err != nil {
		io.closeTheirs(d.null)
		io.closeOurs()
		return nil, err
	}
	p, err := d.processes.start(program, r.argv, environment, r.cwd, d.credential(r.as), io.theirs[:])
	io.closeTheirs(d.null)
	if err != nil {
		io.closeOurs()
		return nil, d.startFailure(err, r.argv[0], r.cwd)
	}
	run.event(map[string]any{"event": "started", "pid": p.pid})
	s.setControl(func(m *members) { s.signalControl(m, p) })

	out, errs := io.sinks(s, r)
	pumps := []*pump{newPump(io.out, out.sink)}
	if io.errs >= 0 {
		pumps = append(pumps, newPump(io.errs, errs.sink))
	}
	if io.in >= 0 {
		go feed(run, s, io.in, p)
	}
	timedOut := d.awaitEnd(run.context, p, r.timeout)
	fields := exitFields(p.status, timedOut)
	fields["droppedBytes"] = map[string]any{"stdout": 0, "stderr": 0}
	for i, settled := range settleAll(pumps) {
		awaitOutput(run, s, settled, fields, !r.output.present)
		d.survivors.add(pumps[i])
	}
	fields["droppedBytes"] = map[string]any{"stdout": out.dropped(), "stderr": errs.dropped()}
	result := &outcome{fields: fields, ends: []byte{channelOutput, channelErrors}}
	result.output[channelOutput], result.output[channelErrors] = out.bytes(), errs.bytes()
	return result, nil
}

// prepareExec does all that needs the agent's rights in one go, because each change of threads costs a tenth of a short program's time.
func (d *daemon) prepareExec(r execRequest, environment []string) (program string, io *programPipes, err error) {
	d.threads.do(func() {
		if program, err = findProgram(r.argv[0], r.cwd, environment); err != nil {
			return
		}
		if io, err = openProgramPipes(r, d.null); err != nil {
			err = posixFailure(err, r.argv[0], "none")
		}
	})
	return program, io, err
}

// feed writes the stream's input to a program until it ends or does not want more; what comes then is taken and forgotten.
func feed(run *callRun, s *stream, descriptor int, p *process) {
	syscall.SetNonblock(descriptor, true)
	stdin := os.NewFile(uintptr(descriptor), "stdin")
	defer stdin.Close()
	stop := context.AfterFunc(run.context, func() { stdin.Close() })
	defer stop()
	go func() {
		<-p.ended
		stdin.SetWriteDeadline(time.Unix(1, 0)) // a full pipe that nobody reads any more
	}()
	for {
		chunk, err := s.read()
		if err != nil {
			if !errors.Is(err, io.EOF) {
				run.inputLost()
			}
			return
		}
		stdin.Write(chunk)
		s.consumed(len(chunk))
	}
}

// awaitEnd returns when the program has ended, by itself or because its time or its caller's patience did.
func (d *daemon) awaitEnd(patience context.Context, p *process, timeout time.Duration) (timedOut bool) {
	var expired <-chan time.Time
	if timeout > 0 {
		timer := time.NewTimer(timeout)
		defer timer.Stop()
		expired = timer.C
	}
	select {
	case <-p.ended:
		return false
	case <-patience.Done():
	case <-expired:
		timedOut = true
	}
	p.signal(syscall.SIGKILL)
	<-p.ended
	return timedOut
}
