package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"strings"
	"syscall"
	"time"
)

// outputLimit is how much of each stream is kept; without one output is streamed.
type outputLimit struct {
	present bool
	max     int
	tail    bool
}

const maxCollectedBytes = 64 << 20

func readOutputLimit(m *members) outputLimit {
	if !m.has("output") {
		return outputLimit{}
	}
	inner := m.object("output")
	limit := outputLimit{present: true, max: int(inner.integer("maxBytes", 0, maxCollectedBytes))}
	keep := inner.text("keep")
	if keep != "head" && keep != "tail" {
		inner.refuse("keep", "head or tail")
	}
	limit.tail = keep == "tail"
	m.adopt("output", inner)
	return limit
}

func (l outputLimit) collector() *collector { return &collector{max: l.max, tail: l.tail} }

// Some thirty years; as a duration it stays far below overflow.
const maxTimeoutMs = int64(1) << 40

func readTimeout(m *members) time.Duration {
	return time.Duration(m.integerOr("timeoutMs", 1, maxTimeoutMs, 0)) * time.Millisecond
}

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
	program, err := d.findProgram(r.argv[0], r.cwd, environment)
	if err != nil {
		return nil, err
	}
	if err := run.commit(); err != nil {
		return nil, err
	}
	io, err := d.openProgramPipes(r)
	if err != nil {
		return nil, posixFailure(err, r.argv[0], "none")
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

// output of a program goes to the stream or into a collector.
type output struct {
	sink      func([]byte)
	collected *collector
}

func (o output) bytes() []byte {
	if o.collected == nil {
		return nil
	}
	return o.collected.bytes()
}

func (o output) dropped() int64 {
	if o.collected == nil {
		return 0
	}
	return o.collected.dropped
}

func newOutput(s *stream, channel byte, limit outputLimit) output {
	if limit.present {
		collected := limit.collector()
		return output{sink: collected.add, collected: collected}
	}
	return output{sink: func(content []byte) { s.send(channel, content) }}
}

type programPipes struct {
	theirs        [3]uintptr
	in, out, errs int // -1: none
}

func (d *daemon) openProgramPipes(r execRequest) (*programPipes, error) {
	io := &programPipes{in: -1, out: -1, errs: -1}
	null := uintptr(d.null.Fd())
	io.theirs = [3]uintptr{null, null, null}
	open := func(theirEnd int, reading bool) (int, error) {
		reader, writer, err := d.newAgentPipe()
		if err != nil {
			return -1, err
		}
		if reading {
			io.theirs[theirEnd] = uintptr(reader)
			return writer, nil
		}
		io.theirs[theirEnd] = uintptr(writer)
		return reader, nil
	}
	var err error
	if r.pipedStdin {
		io.in, err = open(0, true)
	}
	if err == nil {
		io.out, err = open(1, false)
	}
	if err == nil && r.merged {
		io.theirs[2] = io.theirs[1]
	} else if err == nil {
		io.errs, err = open(2, false)
	}
	if err != nil {
		io.closeTheirs(d.null)
		io.closeOurs()
		return nil, err
	}
	return io, nil
}

func (io *programPipes) closeTheirs(null *os.File) {
	for at, descriptor := range io.theirs {
		if descriptor != null.Fd() && (at < 2 || descriptor != io.theirs[1]) {
			syscall.Close(int(descriptor))
		}
	}
}

func (io *programPipes) closeOurs() {
	for _, descriptor := range []int{io.in, io.out, io.errs} {
		if descriptor >= 0 {
			syscall.Close(descriptor)
		}
	}
}

func (io *programPipes) sinks(s *stream, r execRequest) (output, output) {
	if r.merged {
		return newOutput(s, channelOutput, r.output), output{}
	}
	return newOutput(s, channelOutput, r.output), newOutput(s, channelErrors, r.output)
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

func settleAll(pumps []*pump) []<-chan struct{} {
	settled := make([]<-chan struct{}, len(pumps))
	for i, p := range pumps {
		settled[i] = p.settle(nil, nil)
	}
	return settled
}

// awaitOutput waits until the rest of the output was taken, and tells of the end before when that may be long.
func awaitOutput(run *callRun, s *stream, settled <-chan struct{}, exit map[string]any, streamed bool) {
	if !streamed {
		<-settled
		return
	}
	moment := time.NewTimer(5 * time.Millisecond)
	defer moment.Stop()
	select {
	case <-settled:
		return
	case <-moment.C:
	}
	s.tellExit(exit)
	<-settled
}

// tellExit sends the end of a program ahead of its output, once.
func (s *stream) tellExit(exit map[string]any) {
	s.mu.Lock()
	told := s.exitTold
	s.exitTold = true
	s.mu.Unlock()
	if told {
		return
	}
	event := map[string]any{"event": "exited"}
	for name, value := range exit {
		event[name] = value
	}
	s.event(event)
}

func exitFields(status syscall.WaitStatus, timedOut bool) map[string]any {
	fields := map[string]any{"code": nil, "signal": nil, "timedOut": timedOut, "replayed": false}
	if status.Signaled() {
		fields["signal"] = signalName(status.Signal())
	} else {
		fields["code"] = status.ExitStatus()
	}
	return fields
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

func (d *daemon) credential(as user) *syscall.Credential {
	if !d.isRoot {
		return nil
	}
	return &syscall.Credential{Uid: as.uid, Gid: as.gid, Groups: []uint32{as.gid}}
}

// environment of a program: nothing of the guest's own.
func (d *daemon) environment(as user, added map[string]string) []string {
	values := map[string]string{"PATH": d.config.path, "HOME": as.home, "USER": as.name, "LANG": "C.UTF-8"}
	for name, value := range d.config.env {
		values[name] = value
	}
	for name, value := range added {
		values[name] = value
	}
	list := make([]string, 0, len(values))
	for name, value := range values {
		list = append(list, name+"="+value)
	}
	return list
}

// findProgram looks a bare name up on the PATH that the program will have, with the agent's eyes.
func (d *daemon) findProgram(name, cwd string, environment []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	search := ""
	for _, entry := range environment {
		if value, found := strings.CutPrefix(entry, "PATH="); found {
			search = value
		}
	}
	return asAgent(d.threads, func() (string, error) {
		failure := syscall.ENOENT
		for directory := range strings.SplitSeq(search, ":") {
			if !path.IsAbs(directory) {
				directory = path.Join(cwd, directory)
			}
			candidate := directory + "/" + name
			var stat syscall.Stat_t
			err := syscall.Stat(candidate, &stat)
			if err == nil && stat.Mode&syscall.S_IFMT == syscall.S_IFREG && stat.Mode&0o111 != 0 {
				return candidate, nil
			}
			if err == syscall.EACCES {
				failure = syscall.EACCES
			}
		}
		return "", posixFailure(failure, name, "none")
	})
}

// startFailure tells the directory's trouble from the program's.
func (d *daemon) startFailure(err error, program, cwd string) error {
	subject := program
	if err == syscall.ENOENT || err == syscall.EACCES || err == syscall.ENOTDIR {
		_, cwdErr := asAgent(d.threads, func() (int, error) {
			descriptor, err := syscall.Open(cwd+"/.", openPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
			if err == nil {
				syscall.Close(descriptor)
			}
			return 0, err
		})
		if cwdErr != nil {
			subject, err = cwd, cwdErr
		}
	}
	return posixFailure(err, subject, "none")
}
