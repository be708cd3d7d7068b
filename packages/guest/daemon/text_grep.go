package main

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const (
	maxSearches      = 4
	maxGrepPattern   = 16 << 10
	maxGrepProgram   = 200_000 // instructions that an expression becomes: some 40 MiB at most
	maxGrepLine      = 2000
	maxGrepDepth     = 40
	maxGrepEntries   = 50_000
	maxGrepErrors    = 8 << 10
	grepTimeoutAfter = int64(24 * time.Hour / time.Millisecond)
)

type grepRequest struct {
	pattern  string
	maxBytes int
	place    *place
}

func opGrep(d *daemon, s *stream, m *members, _ *claim) (*outcome, error) {
	path, roots := m.path("path"), readRoots(m)
	r := grepRequest{pattern: m.text("pattern"), maxBytes: int(m.integer("maxBytes", 1, maxCollectedBytes))}
	timeout := time.Duration(m.integer("timeoutMs", 1, grepTimeoutAfter)) * time.Millisecond
	if m.err() == nil && (r.pattern == "" || len(r.pattern) > maxGrepPattern) {
		m.refuse("pattern", "1 to 16384 bytes")
	}
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	patience, stop := context.WithTimeout(s.context, timeout)
	defer stop()
	select {
	case d.searches <- struct{}{}:
		defer func() { <-d.searches }()
	case <-patience.Done():
		return nil, refuse("deadline_exceeded", "", "grep: other searches took all of %v", timeout)
	}
	type prepared struct {
		place   *place
		ripgrep string
	}
	ready, err := asAgent(d.threads, func() (prepared, error) {
		found, err := resolve(roots, path, true, false, nil)
		if err != nil {
			return prepared{}, err
		}
		if !found.exists() {
			found.close()
			return prepared{}, absent(path)
		}
		if found.kind() != syscall.S_IFREG && found.kind() != syscall.S_IFDIR {
			found.close()
			return prepared{}, refuse("failed_precondition", "not_regular_file", "%s: is neither a file nor a directory", path)
		}
		return prepared{found, d.trustedProgram("rg")}, nil
	})
	if err != nil {
		return nil, err
	}
	defer ready.place.close()
	r.place = ready.place
	if ready.ripgrep != "" {
		return d.ripgrep(patience, timeout, r, ready.ripgrep)
	}
	return d.builtinGrep(patience, timeout, r)
}

// trustedProgram finds a program that the agent can neither have put there nor change: every directory on its way and the file
// itself belong to root and only root may write them.
func (d *daemon) trustedProgram(name string) string {
	for directory := range strings.SplitSeq(d.config.path, ":") {
		if !filepath.IsAbs(directory) {
			continue
		}
		found, err := walk(directory+"/"+name, true, nil)
		if err != nil {
			continue
		}
		canonical, program := found.canonical, found.exists() && found.kind() == syscall.S_IFREG && found.stat.Mode&0o111 != 0
		found.close()
		if program && onlyRootWrites(canonical) {
			return canonical
		}
	}
	return ""
}

func onlyRootWrites(path string) bool {
	for {
		var stat syscall.Stat_t
		if syscall.Lstat(path, &stat) != nil || stat.Uid != 0 || stat.Mode&0o022 != 0 {
			return false
		}
		if path == "/" {
			return true
		}
		path = filepath.Dir(path)
	}
}

func (d *daemon) ripgrep(patience context.Context, timeout time.Duration, r grepRequest, program string) (*outcome, error) {
	pipes, err := asAgent(d.threads, func() (*programPipes, error) { return openProgramPipes(execRequest{}, d.null) })
	if err != nil {
		return nil, posixFailure(err, "grep", "none")
	}
	argv := []string{"rg", "--no-config", "-n", "--no-heading", "-e", r.pattern, "--", r.place.canonical}
	p, err := d.processes.start(program, argv, d.environment(d.agent, nil), "/", d.credential(d.agent), pipes.theirs[:])
	pipes.closeTheirs(d.null)
	if err != nil {
		pipes.closeOurs()
		return nil, posixFailure(err, "grep: rg", "none")
	}
	out, errs := &collector{max: r.maxBytes}, &collector{max: maxGrepErrors}
	enough, stop := context.WithCancel(patience)
	defer stop()
	pumps := []*pump{newPump(pipes.errs, errs.add), newPump(pipes.out, func(content []byte) {
		if out.add(content); out.dropped > 0 {
			stop()
		}
	})}
	d.awaitEnd(enough, p, 0)
	for i, settled := range settleAll(pumps) {
		<-settled
		d.survivors.add(pumps[i])
	}
	cut := out.dropped > 0
	code := p.status.ExitStatus()
	fields := map[string]any{"matched": len(out.bytes()) > 0, "cut": cut, "engine": "ripgrep"}
	switch {
	case cut || code == 0 || code == 1:
	case patience.Err() != nil && len(out.bytes()) > 0:
		fields["cut"] = true
	case patience.Err() != nil:
		return nil, grepTimeout(patience, timeout)
	default:
		message := string(errs.bytes())
		if message == "" {
			message = "rg ended with " + strconv.Itoa(code)
		}
		return nil, refuse("invalid_argument", "grep_failed", "%s", message)
	}
	return ended(channelOutput, out.bytes(), fields), nil
}

func grepTimeout(patience context.Context, timeout time.Duration) error {
	if patience.Err() == context.DeadlineExceeded {
		return refuse("deadline_exceeded", "", "grep: timed out after %v", timeout)
	}
	return errCancelled
}

// searcher is grep where the image has none that can be trusted: no ignore files, hidden files included.
type searcher struct {
	daemon     *daemon
	patience   context.Context
	expression *regexp.Regexp
	out        *collector
	entries    int
	cut        bool
}

func (d *daemon) builtinGrep(patience context.Context, timeout time.Duration, r grepRequest) (*outcome, error) {
	expression, err := compileBounded(r.pattern)
	if err != nil {
		return nil, refuse("invalid_argument", "grep_failed", "%v", err)
	}
	g := &searcher{daemon: d, patience: patience, expression: expression, out: &collector{max: r.maxBytes}, entries: maxGrepEntries}
	_, err = asAgent(d.threads, func() (any, error) {
		if r.place.kind() == syscall.S_IFDIR {
			reader, err := r.place.openDirectory()
			if err != nil {
				return nil, err
			}
			defer reader.close()
			g.directory(reader, strings.TrimRight(r.place.canonical, "/")+"/", 1)
			return nil, nil
		}
		descriptor, err := r.place.openRegular()
		if err != nil {
			return nil, err
		}
		defer syscall.Close(descriptor)
		g.file(descriptor, r.place.canonical)
		return nil, nil
	})
	if err != nil {
		return nil, err
	}
	cut := g.cut || g.out.dropped > 0
	if patience.Err() != nil && len(g.out.bytes()) == 0 {
		return nil, grepTimeout(patience, timeout)
	}
	return ended(channelOutput, g.out.bytes(), map[string]any{"matched": len(g.out.bytes()) > 0, "cut": cut, "engine": "builtin"}), nil
}

// compileBounded refuses a short pattern that stands for a large program before that is made.
func compileBounded(pattern string) (*regexp.Regexp, error) {
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, err
	}
	if programSize(parsed) > maxGrepProgram {
		return nil, errors.New("the pattern's repetitions make it too large")
	}
	return regexp.Compile(pattern)
}

// programSize is about how many instructions an expression becomes.
func programSize(expression *syntax.Regexp) int {
	size := max(1, len(expression.Sub))
	if expression.Op == syntax.OpLiteral {
		size = len(expression.Rune)
	}
	for _, part := range expression.Sub {
		size += programSize(part)
	}
	if expression.Op == syntax.OpRepeat {
		size *= max(expression.Min, expression.Max, 1)
	}
	return size
}

func (g *searcher) enough() bool {
	if g.patience.Err() != nil || g.out.dropped > 0 || g.entries <= 0 {
		g.cut = true
	}
	return g.cut
}

func (g *searcher) directory(reader *directoryReader, path string, depth int) {
	for !g.enough() {
		name, err := reader.next()
		if err != nil || name == "" {
			return
		}
		if skipped(name) {
			continue
		}
		g.entries--
		var stat syscall.Stat_t
		if fstatat(reader.descriptor, name, &stat) != nil {
			continue
		}
		switch stat.Mode & syscall.S_IFMT {
		case syscall.S_IFREG:
			descriptor, err := openat(reader.descriptor, name, syscall.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_NOCTTY)
			if err == nil {
				if syscall.Fstat(descriptor, &stat) == nil && stat.Mode&syscall.S_IFMT == syscall.S_IFREG {
					g.file(descriptor, path+name)
				}
				syscall.Close(descriptor)
			}
		case syscall.S_IFDIR:
			if depth >= maxGrepDepth {
				continue
			}
			if inner, err := openDirectory(reader.descriptor, name); err == nil {
				g.directory(inner, path+name+"/", depth+1)
				inner.close()
			}
		}
	}
}

// file searches one file up to its first NUL; lines too long to be read by anyone are passed over.
func (g *searcher) file(descriptor int, path string) {
	buffer := make([]byte, pumpBufferBytes)
	held, number, skipping := 0, 1, false
	for offset := int64(0); !g.enough(); {
		count, err := preadFull(descriptor, buffer[held:], offset)
		if err != nil {
			return
		}
		offset += int64(count)
		text := buffer[:held+count]
		last := count == 0
		if bytes.IndexByte(text[held:], 0) >= 0 {
			return
		}
		for len(text) > 0 {
			line, rest, whole := bytes.Cut(text, []byte("\n"))
			if !whole && !last {
				break
			}
			if !skipping {
				g.line(path, number, line)
			}
			skipping = false
			number++
			text = rest
		}
		if last {
			return
		}
		if len(text) > maxGrepLine {
			skipping, text = true, nil
		}
		held = copy(buffer, text)
	}
}

func (g *searcher) line(path string, number int, line []byte) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) > maxGrepLine || !g.expression.Match(line) {
		return
	}
	g.out.add([]byte(path + ":" + strconv.Itoa(number) + ":"))
	g.out.add(line)
	g.out.add([]byte("\n"))
}
