package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

const (
	maxCommandBytes = 32 << 20
	// What background jobs write between two commands.
	maxBetweenBytes = 64 << 10
	maxShells       = 64
	// A command above this does not go through the pipe, which shells read byte by byte.
	maxPipedBytes = 1 << 10
	// How often a shell that says nothing is looked at; see `outOfStep`.
	firstLook, longestLook = 20 * time.Millisecond, time.Second
)

// shells are the persistent shells by name.
type shells struct {
	mu    sync.Mutex
	named map[string]*shellSlot
}

// shellSlot is a name; the shell behind it changes. Who holds `turn` runs the one command.
type shellSlot struct {
	turn  chan struct{}
	shell *shell
}

func (s *shells) slot(name string) (*shellSlot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	slot := s.named[name]
	if slot == nil {
		if len(s.named) >= maxShells {
			return nil, refuse("resource_exhausted", "", "more than %d shells", maxShells)
		}
		slot = &shellSlot{turn: make(chan struct{}, 1)}
		s.named[name] = slot
	}
	return slot, nil
}

func (s *shells) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.named)
}

// shell is one running shell. Its commands come on its stdin, as a terminal's would, each with stdin from /dev/null and without
// the two descriptors that only the shell itself has: status out, and a file for long commands.
type shell struct {
	dialect dialect
	process *process
	script  *os.File // write end of its stdin
	status  *os.File
	memory  *os.File
	output  *pump
	between *collector // output while no command runs; kept from the last end on
	heard   []byte     // of the status, not understood yet
	number  int        // of the command, which its status has to carry
	masked  bool       // something of the agent's stands before the shell's own `builtin`
}

func (s *shell) close() {
	s.process.signal(syscall.SIGKILL)
	<-s.process.ended
	s.script.Close()
	s.status.Close()
	s.memory.Close()
	s.output.settle(nil, nil)
}

func (s *shell) dead() bool {
	select {
	case <-s.process.ended:
		return true
	default:
		return false
	}
}

// startShell starts the best shell that the image has.
func (d *daemon) startShell(cwd string, env map[string]string) (*shell, error) {
	environment := d.environment(d.agent, env)
	for _, candidate := range dialects {
		started, err := d.startDialect(candidate, cwd, environment)
		if err == nil {
			return started, nil
		}
		var f *failure
		if !errors.As(err, &f) || f.Reason != "ENOENT" || !strings.HasPrefix(f.Message, candidate.program+":") {
			return nil, err
		}
	}
	return nil, refuse("failed_precondition", "ENOENT", "the image has neither /bin/bash nor /bin/sh")
}

func (d *daemon) startDialect(as dialect, cwd string, environment []string) (*shell, error) {
	var opened []int
	fail := func(err error) (*shell, error) {
		closeAll(opened...)
		return nil, posixFailure(err, as.program, "none")
	}
	pipeEnds := func() (int, int, error) {
		reader, writer, err := newPipe()
		if err == nil {
			opened = append(opened, reader, writer)
		}
		return reader, writer, err
	}
	scriptReader, scriptWriter, err := pipeEnds()
	if err != nil {
		return fail(err)
	}
	outputReader, outputWriter, err := d.newAgentPipe()
	if err != nil {
		return fail(err)
	}
	opened = append(opened, outputReader, outputWriter)
	statusReader, statusWriter, err := pipeEnds()
	if err != nil {
		return fail(err)
	}
	memory, err := newMemory()
	if err != nil {
		return fail(err)
	}
	opened = append(opened, memory)
	descriptors := make([]uintptr, as.memoryDescriptor+1)
	for i := range descriptors {
		descriptors[i] = ^uintptr(0)
	}
	descriptors[0], descriptors[1], descriptors[2] = uintptr(scriptReader), uintptr(outputWriter), uintptr(outputWriter)
	descriptors[as.statusDescriptor], descriptors[as.memoryDescriptor] = uintptr(statusWriter), uintptr(memory)
	started, err := d.processes.start(as.program, as.argv, environment, cwd, d.credential(d.agent), descriptors)
	if err != nil {
		closeAll(opened...)
		return nil, d.startFailure(err, as.program, cwd)
	}
	closeAll(scriptReader, outputWriter, statusWriter)
	s := &shell{dialect: as, process: started, memory: os.NewFile(uintptr(memory), "command"), between: &collector{max: maxBetweenBytes, tail: true}}
	syscall.SetNonblock(scriptWriter, true)
	syscall.SetNonblock(statusReader, true)
	s.script, s.status = os.NewFile(uintptr(scriptWriter), "script"), os.NewFile(uintptr(statusReader), "status")
	s.output = newPump(outputReader, s.between.add)
	return s, nil
}

func newMemory() (int, error) {
	name := []byte("command\x00")
	const closeOnExec = 1
	descriptor, _, errno := syscall.Syscall(sysMemfd, uintptr(unsafe.Pointer(&name[0])), closeOnExec, 0)
	if errno != 0 {
		return -1, errno
	}
	return int(descriptor), nil
}

// put gives the shell a command.
func (s *shell) put(command string) error {
	text := s.dialect.piped(command, s.number)
	if len(command) > maxPipedBytes && s.dialect.stored != nil {
		if err := s.store(command); err != nil {
			return err
		}
		text = s.dialect.stored(strings.Count(command, "\n"), s.number)
	}
	if s.masked {
		text = bashUnmask + text
	}
	_, err := s.script.WriteString(text)
	return err
}

// store leaves the command in the memory file, whose offset the shell shares.
func (s *shell) store(command string) error {
	if err := s.memory.Truncate(0); err != nil {
		return err
	}
	if _, err := s.memory.WriteAt(append([]byte(command), 0), 0); err != nil {
		return err
	}
	_, err := s.memory.Seek(0, io.SeekStart)
	return err
}

// verdict is how a command ended for the shell that ran it.
type verdict struct {
	code     int
	kept     bool
	timedOut bool
}

// awaitVerdict waits for the command's status, the shell's end, or the end of patience.
func (s *shell) awaitVerdict(patience context.Context, timeout time.Duration) verdict {
	if timeout > 0 {
		limited, stop := context.WithTimeout(patience, timeout)
		defer stop()
		code, ok := s.awaitStatus(limited)
		return verdict{code: code, kept: ok, timedOut: !ok && patience.Err() == nil && limited.Err() != nil && !s.dead()}
	}
	code, ok := s.awaitStatus(patience)
	return verdict{code: code, kept: ok}
}

func (s *shell) awaitStatus(patience context.Context) (code int, ok bool) {
	stop := context.AfterFunc(patience, func() { s.status.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	look := firstLook
	var buffer [512]byte
	for {
		s.status.SetReadDeadline(time.Now().Add(look))
		if patience.Err() != nil {
			return 0, false
		}
		count, err := s.status.Read(buffer[:])
		s.heard = append(s.heard, buffer[:count]...)
		if code, number, understood, broken := s.dialect.readStatus(&s.heard); broken {
			return 0, false
		} else if understood {
			return code, number == s.number
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded):
			if s.outOfStep() {
				return 0, false
			}
			look = min(2*look, longestLook)
		default:
			// The shell let go of its status: it has ended, or became another program.
			select {
			case <-s.process.ended:
			case <-patience.Done():
			}
			return 0, false
		}
	}
}

// outOfStep tells a shell that has taken all it was told and given no status: it never will.
func (s *shell) outOfStep() bool {
	if s.dead() || s.unreadScript() > 0 {
		return false
	}
	var buffer [512]byte
	s.status.SetReadDeadline(time.Now().Add(firstLook))
	count, _ := s.status.Read(buffer[:])
	s.heard = append(s.heard, buffer[:count]...)
	return count == 0
}

func (s *shell) unreadScript() int {
	raw, err := s.script.SyscallConn()
	if err != nil {
		return 0
	}
	count := 0
	raw.Control(func(descriptor uintptr) { count = unread(int(descriptor)) })
	return count
}

// inStep makes sure, before a command, that nothing of the one before is still to come: a status too many was forged.
func (s *shell) inStep() bool {
	var buffer [512]byte
	s.status.SetReadDeadline(time.Unix(1, 0))
	raw, err := s.status.SyscallConn()
	if err != nil || s.dead() || !s.finished() {
		return false
	}
	count := 0
	raw.Control(func(descriptor uintptr) { count, _ = syscall.Read(int(descriptor), buffer[:]) })
	s.heard = append(s.heard, buffer[:max(0, count)]...)
	heard := s.heard
	s.heard = nil
	if !s.dialect.saysWell {
		return len(heard) == 0
	}
	s.masked = s.number > 0 && !bytes.HasSuffix(heard, []byte(bashWell))
	return !bytes.Contains(heard, []byte(bashStatusMark))
}

// finished waits a moment for the shell to take the end of the last command's text; one that does not is still at work.
func (s *shell) finished() bool {
	for range 100 {
		if s.unreadScript() == 0 {
			return true
		}
		time.Sleep(time.Millisecond / 2)
	}
	return false
}

type shellRequest struct {
	name    string
	command string
	cwd     string
	env     map[string]string
	output  outputLimit
	timeout time.Duration
}

func opShellRun(d *daemon, s *stream, m *members, key *claim) (*outcome, error) {
	r := shellRequest{name: m.text("shell"), cwd: m.path("cwd"), env: m.environment("env"), output: readOutputLimit(m), timeout: readTimeout(m)}
	size := int(m.integer("commandBytes", 0, maxCommandBytes))
	if m.err() == nil && !validName(r.name) {
		m.refuse("shell", "1 to 128 characters of A-Z a-z 0-9 _ -")
	}
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	if key != nil && !r.output.present {
		return nil, refuse("invalid_argument", "", "a command with a key needs an output limit")
	}
	text, err := s.readExactly(size)
	if err != nil {
		return nil, err
	}
	if bytes.IndexByte(text, 0) >= 0 {
		return nil, refuse("invalid_argument", "", "a command cannot hold NUL")
	}
	r.command = string(text)
	return key.once(d, s, text, func(run *callRun) (*outcome, error) { return d.shellRun(run, s, r) })
}

// readExactly takes input of a length that was announced.
func (s *stream) readExactly(size int) ([]byte, error) {
	var text []byte
	for {
		chunk, err := s.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		text = append(text, chunk...)
		s.consumed(len(chunk))
		if len(text) > size {
			break
		}
	}
	if len(text) != size {
		return nil, refuse("invalid_argument", "", "input is not of the %d bytes announced", size)
	}
	return text, nil
}

// take waits for the slot's turn.
func (slot *shellSlot) take(patience context.Context) error {
	select {
	case slot.turn <- struct{}{}:
		return nil
	case <-patience.Done():
		return errCancelled
	}
}

func (slot *shellSlot) release() { <-slot.turn }

func (d *daemon) shellRun(run *callRun, s *stream, r shellRequest) (*outcome, error) {
	slot, err := d.shells.slot(r.name)
	if err != nil {
		return nil, err
	}
	if err := slot.take(run.context); err != nil {
		return nil, err
	}
	defer slot.release()
	if err := run.commit(); err != nil {
		return nil, err
	}
	if slot.shell != nil && !slot.shell.inStep() {
		slot.shell.close()
		slot.shell = nil
	}
	if slot.shell == nil {
		if slot.shell, err = d.startShell(r.cwd, r.env); err != nil {
			return nil, err
		}
	}
	sh := slot.shell
	sh.number++
	out := newOutput(s, channelOutput, r.output)
	sh.handOver(out.sink)
	run.event(map[string]any{"event": "started", "pid": sh.process.pid})
	s.setControl(func(m *members) { s.signalControl(m, sh.process) })

	// The shell may read slowly, or never: what it does decides, not whether it took the whole text.
	go sh.put(r.command)
	end := sh.awaitVerdict(run.context, r.timeout)
	if !end.kept {
		end.kept = false
		sh.process.signal(syscall.SIGKILL)
		<-sh.process.ended
		slot.shell = nil
	}
	fields := exitFields(sh.process.status, end.timedOut)
	if end.kept {
		fields = map[string]any{"code": end.code, "signal": nil, "timedOut": false, "replayed": false}
	}
	fields["shellKept"] = end.kept
	fields["droppedBytes"] = map[string]any{"stdout": 0, "stderr": 0}
	awaitOutput(run, s, sh.settle(end.kept), fields, !r.output.present)
	if !end.kept {
		sh.close()
		d.survivors.add(sh.output)
	}
	fields["droppedBytes"] = map[string]any{"stdout": out.dropped(), "stderr": 0}
	result := &outcome{fields: fields, ends: []byte{channelOutput, channelErrors}}
	result.output[channelOutput] = out.bytes()
	return result, nil
}

// handOver gives what came since the last command, and all that comes now, to a command.
func (s *shell) handOver(sink func([]byte)) {
	between := s.between
	<-s.output.settle(func() { sink(between.bytes()) }, sink)
}

// settle ends a command's hold on the output: what it wrote is given to it, what comes then is kept for the next.
func (s *shell) settle(kept bool) <-chan struct{} {
	s.between = &collector{max: maxBetweenBytes, tail: true}
	if !kept {
		return s.output.settle(nil, nil)
	}
	return s.output.settle(nil, s.between.add)
}

func opShellRestart(d *daemon, s *stream, m *members, key *claim) (*outcome, error) {
	name := m.text("shell")
	if m.err() == nil && !validName(name) {
		m.refuse("shell", "1 to 128 characters of A-Z a-z 0-9 _ -")
	}
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	return key.once(d, s, nil, func(run *callRun) (*outcome, error) {
		slot, err := d.shells.slot(name)
		if err != nil {
			return nil, err
		}
		if err := slot.take(run.context); err != nil {
			return nil, err
		}
		defer slot.release()
		if err := run.commit(); err != nil {
			return nil, err
		}
		if slot.shell != nil {
			slot.shell.close()
			d.survivors.add(slot.shell.output)
			slot.shell = nil
		}
		return &outcome{fields: map[string]any{}}, nil
	})
}

// dialect is how one kind of shell is started and spoken to.
type dialect struct {
	program          string
	argv             []string
	statusDescriptor int
	memoryDescriptor int
	// piped is a script that runs the command, by way of the pipe; stored one that takes it from the memory file.
	piped      func(command string, number int) string
	stored     func(newlines, number int) string
	readStatus func(heard *[]byte) (code, number int, understood, broken bool)
	saysWell   bool // after its status it says `bashWell`
}

func quote(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

var dialects = []dialect{
	{
		program: "/bin/bash", argv: []string{"/bin/bash", "--noprofile", "--norc"}, statusDescriptor: 201, memoryDescriptor: 202,
		piped: func(command string, number int) string {
			return `\builtin eval ` + quote(command) + bashTail(number)
		},
		// An element of an array: it is not exported, whatever the shell's options.
		stored: func(newlines, number int) string {
			return `IFS= \builtin read -r -d '' -u 202 'GLOVEBOX_COMMAND[0]' && \builtin eval "${GLOVEBOX_COMMAND[0]}"` +
				bashTail(number) + strings.Repeat("\n", newlines)
		},
		readStatus: bashStatus, saysWell: true,
	},
	{
		program: "/bin/sh", argv: []string{"/bin/sh"}, statusDescriptor: 8, memoryDescriptor: 9,
		piped: func(command string, number int) string {
			return `eval ` + quote(command) + ` </dev/null 8>&- 9<&-; printf '%d:%d\n' "$?" ` + strconv.Itoa(number) + ` >&8` + "\n\n"
		},
		readStatus: plainStatus,
	},
}

const (
	bashStatusMark = "/dev/null/"
	bashWell       = ".\n"
	// In POSIX mode, and only there, no function stands before `unset`. It changes two options, so it is done only where needed.
	bashUnmask = `POSIXLY_CORRECT=; \unset -f builtin; \unset -v POSIXLY_CORRECT; `
)

// bashTail follows the evaluation of a command. The status leaves in the message of a redirection that must fail: no word of it
// is looked up, so no function, alias or trap of the agent stands in its way. As a condition it neither ends a `set -e` shell
// nor calls an ERR trap. What follows it tells whether `builtin` is still the shell's own. The lines are as many as the official
// worker's, so that error texts count the same.
func bashTail(number int) string {
	return ` </dev/null 201>&- 202<&-; if [[ 1 ]] 2>&201 <` + bashStatusMark + `"$?":` + strconv.Itoa(number) +
		`; then ((1)); fi; if { \builtin echo .; } >&201 2>&201; then ((1)); fi` + "\n\n"
}

func bashStatus(heard *[]byte) (code, number int, understood, broken bool) {
	line, whole := takeLine(heard)
	if !whole {
		return 0, 0, false, len(*heard) > 4096
	}
	_, after, _ := bytes.Cut(line, []byte(bashStatusMark))
	code, number, ok := twoNumbers(after)
	return code, number, ok, !ok
}

func plainStatus(heard *[]byte) (code, number int, understood, broken bool) {
	line, whole := takeLine(heard)
	if !whole {
		return 0, 0, false, len(*heard) > 4096
	}
	code, number, ok := twoNumbers(line)
	return code, number, ok, !ok
}

func takeLine(heard *[]byte) (line []byte, whole bool) {
	line, rest, whole := bytes.Cut(*heard, []byte("\n"))
	if whole {
		*heard = rest
	}
	return line, whole
}

// twoNumbers reads `code:number`, with anything after another colon.
func twoNumbers(text []byte) (code, number int, ok bool) {
	fields := bytes.SplitN(text, []byte(":"), 3)
	if len(fields) < 2 {
		return 0, 0, false
	}
	code, codeErr := strconv.Atoi(string(fields[0]))
	number, numberErr := strconv.Atoi(string(fields[1]))
	return code, number, codeErr == nil && numberErr == nil && code >= 0 && code <= 255
}
