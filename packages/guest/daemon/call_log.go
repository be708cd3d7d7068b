package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// callLog is the record of claims that outlives the daemon: a line a fact, appended in one write each.
//
//	G <generation>   C <id> <digest>   U <id> (undone)   R <id> … (released)
type callLog struct {
	file *os.File
	size int64
}

const callLogName = "calls"

// openCallLog reads the record of earlier daemons and writes it anew without what no longer matters.
func openCallLog(directory string) (*callLog, int64, map[string]*call, error) {
	if err := ownDirectory(directory); err != nil {
		return nil, 0, nil, err
	}
	path := filepath.Join(directory, callLogName)
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, 0, nil, err
	}
	generation, known := parseCallLog(content)
	var compact bytes.Buffer
	fmt.Fprintf(&compact, "G %d\n", generation)
	for id, one := range known {
		fmt.Fprintf(&compact, "C %s %x\n", id, one.digest)
		if one.state == callReleased {
			fmt.Fprintf(&compact, "R %s\n", id)
		}
	}
	next := path + ".next"
	if err := os.WriteFile(next, compact.Bytes(), 0o600); err != nil {
		return nil, 0, nil, err
	}
	if err := os.Rename(next, path); err != nil {
		return nil, 0, nil, err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, 0, nil, err
	}
	return &callLog{file: file, size: int64(compact.Len())}, generation, known, nil
}

// ownDirectory makes sure that nobody but the guest can have written what it will believe.
func ownDirectory(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if !info.IsDir() || int(owner) != os.Geteuid() {
		return fmt.Errorf("%s: not a directory of uid %d; give the guest a state directory of its own", path, os.Geteuid())
	}
	return os.Chmod(path, 0o700)
}

// parseCallLog takes every whole line that it understands; the last one may have been cut by an end.
func parseCallLog(content []byte) (generation int64, known map[string]*call) {
	known = map[string]*call{}
	for line := range strings.Lines(string(content)) {
		if !strings.HasSuffix(line, "\n") {
			break
		}
		fields := strings.Fields(line)
		switch {
		case len(fields) == 2 && fields[0] == "G":
			if value, err := strconv.ParseInt(fields[1], 10, 64); err == nil && value > generation {
				generation = value
			}
		case len(fields) == 3 && fields[0] == "C" && validName(fields[1]):
			digest, err := hex.DecodeString(fields[2])
			if err == nil && len(digest) == sha256.Size {
				known[fields[1]] = &call{id: fields[1], state: callUnknown, committed: true, digest: [sha256.Size]byte(digest)}
			}
		case len(fields) == 2 && fields[0] == "U":
			delete(known, fields[1])
		case len(fields) >= 2 && fields[0] == "R":
			for _, id := range fields[1:] {
				if known[id] != nil {
					known[id].state = callReleased
				}
			}
		}
	}
	return generation, known
}

// append writes one whole line or none.
func (l *callLog) append(format string, values ...any) error {
	line := fmt.Appendf(nil, format, values...)
	if _, err := l.file.Write(line); err != nil {
		l.file.Truncate(l.size)
		return err
	}
	l.size += int64(len(line))
	return nil
}

func (l *callLog) generation(value int64) error { return l.append("G %d\n", value) }
func (l *callLog) claim(id string, digest [sha256.Size]byte) error {
	return l.append("C %s %x\n", id, digest)
}
func (l *callLog) undo(id string) error { return l.append("U %s\n", id) }
func (l *callLog) release(released []*call) error {
	var line bytes.Buffer
	for _, one := range released {
		line.WriteString(" " + one.id)
	}
	return l.append("R%s\n", line.String())
}
