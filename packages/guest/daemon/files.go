package main

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// fileChunkBytes is how much of a file one job of an agent thread moves.
const fileChunkBytes = 256 << 10

func itoa(number int) string { return strconv.Itoa(number) }

// readRoots: absent means no confinement, an empty list permits nothing.
func readRoots(m *members) []root {
	if !m.has("roots") {
		return nil
	}
	var list []map[string]json.RawMessage
	m.into("roots", "a list of { path, writable }", &list)
	roots := []root{}
	for _, raw := range list {
		inner := &members{raw: raw}
		roots = append(roots, root{inner.path("path"), inner.boolean("writable")})
		m.adopt("roots", inner)
	}
	return roots
}

const modeBits = 0o7777

func fileType(mode uint32) string {
	switch mode & syscall.S_IFMT {
	case syscall.S_IFREG:
		return "file"
	case syscall.S_IFDIR:
		return "directory"
	case syscall.S_IFLNK:
		return "symlink"
	}
	return "other"
}

func statFields(stat *syscall.Stat_t, target *string) map[string]any {
	seconds, nanoseconds := stat.Mtim.Unix()
	fields := map[string]any{
		"type": fileType(stat.Mode), "sizeBytes": stat.Size, "mode": stat.Mode & modeBits, "uid": stat.Uid, "gid": stat.Gid,
		"modifiedAt": time.Unix(seconds, nanoseconds).UTC().Format("2006-01-02T15:04:05.000Z"),
	}
	if target != nil {
		fields["target"] = *target
	}
	return fields
}

func absent(path string) error { return posixFailure(syscall.ENOENT, path, "none") }

func opStat(d *daemon, s *stream, m *members, _ *claim) (*outcome, error) {
	path, follow, roots := m.path("path"), m.boolean("follow"), readRoots(m)
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	return asAgent(d.threads, func() (*outcome, error) {
		found, err := resolve(roots, path, follow, false, nil)
		if err != nil {
			return nil, err
		}
		defer found.close()
		if !found.exists() {
			return nil, absent(path)
		}
		var target *string
		if found.kind() == syscall.S_IFLNK {
			says, err := readlinkat(found.target, "")
			if err != nil {
				return nil, posixFailure(err, path, "none")
			}
			target = &says
		}
		return &outcome{fields: statFields(&found.stat, target)}, nil
	})
}

// openRegular opens a regular file for reading; anything else is refused without being opened.
func openRegular(roots []root, path string, mutate bool) (*place, int, error) {
	found, err := resolve(roots, path, true, mutate, nil)
	if err != nil {
		return nil, -1, err
	}
	descriptor, err := found.openRegular()
	if err != nil {
		found.close()
		return nil, -1, err
	}
	return found, descriptor, nil
}

func (p *place) openRegular() (int, error) {
	if !p.exists() {
		return -1, absent(p.given)
	}
	if p.kind() != syscall.S_IFREG {
		return -1, refuse("failed_precondition", "not_regular_file", "%s: is not a regular file", p.given)
	}
	descriptor, err := openat(p.parent, p.name, syscall.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK|syscall.O_NOCTTY)
	if err != nil {
		return -1, posixFailure(err, p.given, "none")
	}
	// What stands there now may be another than the one looked at.
	if err := syscall.Fstat(descriptor, &p.stat); err != nil || p.kind() != syscall.S_IFREG {
		syscall.Close(descriptor)
		return -1, refuse("failed_precondition", "not_regular_file", "%s: is not a regular file", p.given)
	}
	return descriptor, nil
}

func preadFull(descriptor int, buffer []byte, offset int64) (int, error) {
	total := 0
	for total < len(buffer) {
		count, err := syscall.Pread(descriptor, buffer[total:], offset+int64(total))
		if err == syscall.EINTR {
			continue
		}
		if err != nil || count == 0 {
			return total, err
		}
		total += count
	}
	return total, nil
}

func opRead(d *daemon, s *stream, m *members, _ *claim) (*outcome, error) {
	path, roots := m.path("path"), readRoots(m)
	offset := m.integerOr("offset", 0, 1<<53, 0)
	left := m.integerOr("length", 0, 1<<53, 1<<53)
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	type opened struct {
		descriptor int
		size       int64
		first      []byte
	}
	read := func(descriptor int, buffer []byte) ([]byte, error) {
		count, err := preadFull(descriptor, buffer[:min(int64(len(buffer)), left)], offset)
		return buffer[:count], err
	}
	file, err := asAgent(d.threads, func() (opened, error) {
		found, descriptor, err := openRegular(roots, path, false)
		if err != nil {
			return opened{}, err
		}
		defer found.close()
		remaining := max(0, min(found.stat.Size-offset, left))
		// One byte more than stands there, so that a small file needs no second look for its end.
		first, err := read(descriptor, make([]byte, min(remaining+1, fileChunkBytes)))
		if err != nil {
			syscall.Close(descriptor)
			return opened{}, posixFailure(err, path, "none")
		}
		return opened{descriptor, found.stat.Size, first}, nil
	})
	if err != nil {
		return nil, err
	}
	defer syscall.Close(file.descriptor)
	s.event(map[string]any{"event": "opened", "sizeBytes": file.size})
	chunk, full := file.first, int64(len(file.first)) > max(0, min(file.size-offset, left))
	var buffer []byte
	for {
		if err := s.send(channelOutput, chunk); err != nil {
			return nil, err
		}
		offset, left = offset+int64(len(chunk)), left-int64(len(chunk))
		if len(chunk) == 0 || left == 0 || (buffer == nil && !full && len(chunk) < fileChunkBytes) {
			break
		}
		if buffer == nil {
			buffer = make([]byte, fileChunkBytes)
		}
		chunk, err = asAgent(d.threads, func() ([]byte, error) { return read(file.descriptor, buffer) })
		if err != nil {
			return nil, posixFailure(err, path, "none")
		}
	}
	return ended(channelOutput, nil, map[string]any{"sizeBytes": file.size}), nil
}

// pendingFile is a file under way: hidden, beside the one that it will be.
type pendingFile struct {
	place      *place
	temporary  string
	descriptor int
	size       int64
}

func newPendingFile(at *place) (*pendingFile, error) {
	if at.name == "" || at.exists() && at.kind() == syscall.S_IFDIR {
		return nil, posixFailure(syscall.EISDIR, at.given, "none")
	}
	if at.exists() && at.kind() != syscall.S_IFREG {
		return nil, refuse("failed_precondition", "not_regular_file", "%s: is not a regular file", at.given)
	}
	var random [12]byte
	rand.Read(random[:])
	p := &pendingFile{place: at, temporary: ".glovebox-" + hex.EncodeToString(random[:])}
	descriptor, err := syscall.Openat(at.parent, p.temporary, syscall.O_WRONLY|syscall.O_CREAT|syscall.O_EXCL|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, posixFailure(err, at.given, "none")
	}
	p.descriptor = descriptor
	return p, nil
}

func (p *pendingFile) write(content []byte) error {
	for len(content) > 0 {
		count, err := syscall.Write(p.descriptor, content)
		if err == syscall.EINTR {
			continue
		}
		if err != nil {
			return posixFailure(err, p.place.given, "none")
		}
		p.size += int64(count)
		content = content[count:]
	}
	return nil
}

// commit puts the file in its place, with the mode of the one that is there.
func (p *pendingFile) commit(mode uint32, exclusive bool) error {
	if p.place.exists() {
		mode = p.place.stat.Mode & 0o777
	}
	if err := syscall.Fchmod(p.descriptor, mode); err != nil {
		return posixFailure(err, p.place.given, "none")
	}
	flags := 0
	if exclusive {
		flags = renameNoreplace
	}
	if err := renameat2(p.place.parent, p.temporary, p.place.parent, p.place.name, flags); err != nil {
		return posixFailure(err, p.place.given, "none")
	}
	p.temporary = ""
	return nil
}

// close removes what was not committed. With the agent's rights, like all of this.
func (p *pendingFile) close() {
	closeAll(p.descriptor)
	if p.temporary != "" {
		unlinkat(p.place.parent, p.temporary, 0)
	}
	p.place.close()
}

type writeRequest struct {
	path       string
	roots      []root
	mode       uint32
	parents    bool
	parentMode uint32
	exclusive  bool
}

func (r writeRequest) open() (*pendingFile, error) {
	found, err := resolve(r.roots, r.path, true, true, parentMaker(r.parents, r.parentMode))
	if err != nil {
		return nil, err
	}
	if r.exclusive && found.exists() {
		found.close()
		return nil, posixFailure(syscall.EEXIST, r.path, "none")
	}
	pending, err := newPendingFile(found)
	if err != nil {
		found.close()
	}
	return pending, err
}

func parentMaker(wanted bool, mode uint32) func(int, string) error {
	if !wanted {
		return nil
	}
	return func(parent int, name string) error {
		err := makeDirectory(parent, name, mode)
		if err == syscall.EEXIST {
			return nil // another made it meanwhile
		}
		return err
	}
}

// makeDirectory makes one with exactly this mode, whatever the umask.
func makeDirectory(parent int, name string, mode uint32) error {
	if err := mkdirat(parent, name, mode&0o700); err != nil {
		return err
	}
	made, err := openat(parent, name, openPath|syscall.O_NOFOLLOW|syscall.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer syscall.Close(made)
	return chmodDescriptor(made, mode)
}

func opWrite(d *daemon, s *stream, m *members, key *claim) (*outcome, error) {
	r := writeRequest{path: m.path("path"), roots: readRoots(m)}
	r.mode = uint32(m.integer("mode", 0, modeBits))
	r.parents = m.boolean("createParents")
	r.parentMode = uint32(m.integer("parentMode", 0, modeBits))
	r.exclusive = m.boolean("exclusive")
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	if key != nil && d.calls.isKnown(key.id) {
		return d.answerKnownWrite(s, key)
	}
	upload, err := d.receive(s, key, r)
	defer upload.discard(d)
	if err != nil {
		return nil, err
	}
	return key.once(d, s, nil, func(run *callRun) (*outcome, error) {
		if err := run.commit(); err != nil {
			return nil, err
		}
		return asAgent(d.threads, func() (*outcome, error) { return upload.commit(r) })
	})
}

// answerKnownWrite takes content only to see that it is the same as the first time.
func (d *daemon) answerKnownWrite(s *stream, key *claim) (*outcome, error) {
	for {
		chunk, err := s.read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		key.hasher.Write(chunk)
		s.consumed(len(chunk))
	}
	return key.once(d, s, nil, func(*callRun) (*outcome, error) {
		return nil, refuse("unavailable", "", "the same call failed meanwhile; send it again")
	})
}

// upload is content on its way into a pending file; what is small stays here until the end.
type upload struct {
	buffer []byte
	file   *pendingFile
}

// receive takes the whole content. The file is opened with the first full buffer, or at the end.
func (d *daemon) receive(s *stream, key *claim, r writeRequest) (*upload, error) {
	u := &upload{}
	for {
		chunk, err := s.read()
		if errors.Is(err, io.EOF) {
			return u, nil
		}
		if err != nil {
			return u, err
		}
		if key != nil {
			key.hasher.Write(chunk)
		}
		u.buffer = append(u.buffer, chunk...)
		s.consumed(len(chunk))
		if len(u.buffer) < fileChunkBytes {
			continue
		}
		if _, err := asAgent(d.threads, func() (any, error) { return nil, u.flush(r) }); err != nil {
			return u, err
		}
	}
}

func (u *upload) flush(r writeRequest) error {
	if u.file == nil {
		file, err := r.open()
		if err != nil {
			return err
		}
		u.file = file
	}
	content := u.buffer
	u.buffer = u.buffer[:0]
	return u.file.write(content)
}

func (u *upload) commit(r writeRequest) (*outcome, error) {
	err := u.flush(r)
	if err == nil {
		err = u.file.commit(r.mode, r.exclusive)
	}
	if err != nil {
		return nil, err
	}
	size := u.file.size
	u.file.close()
	u.file = nil
	return &outcome{fields: map[string]any{"sizeBytes": size}}, nil
}

func (u *upload) discard(d *daemon) {
	if u.file != nil {
		d.threads.do(u.file.close)
	}
}

// mutation is a file operation that is one job of an agent thread.
func mutation(d *daemon, s *stream, key *claim, job func() error) (*outcome, error) {
	return key.once(d, s, nil, func(run *callRun) (*outcome, error) {
		if err := run.commit(); err != nil {
			return nil, err
		}
		return asAgent(d.threads, func() (*outcome, error) {
			if err := job(); err != nil {
				return nil, err
			}
			return &outcome{fields: map[string]any{}}, nil
		})
	})
}

func opMkdir(d *daemon, s *stream, m *members, key *claim) (*outcome, error) {
	path, roots := m.path("path"), readRoots(m)
	mode, parents := uint32(m.integer("mode", 0, modeBits)), m.boolean("createParents")
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	return mutation(d, s, key, func() error {
		found, err := resolve(roots, trimSlashes(path), true, true, parentMaker(parents, mode))
		if err != nil {
			return err
		}
		defer found.close()
		if found.exists() {
			if parents && found.kind() == syscall.S_IFDIR {
				return nil
			}
			return posixFailure(syscall.EEXIST, path, "none")
		}
		if err := makeDirectory(found.parent, found.name, mode); err != nil && !(parents && err == syscall.EEXIST) {
			return posixFailure(err, path, "none")
		}
		return nil
	})
}

func opRename(d *daemon, s *stream, m *members, key *claim) (*outcome, error) {
	path, to, roots := m.path("path"), m.path("to"), readRoots(m)
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	return mutation(d, s, key, func() error {
		from, err := resolve(roots, path, false, true, nil)
		if err != nil {
			return err
		}
		defer from.close()
		target, err := resolve(roots, to, false, true, nil)
		if err != nil {
			return err
		}
		defer target.close()
		if !from.exists() {
			return absent(path)
		}
		if from.name == "" || target.name == "" {
			return posixFailure(syscall.EBUSY, path, "none")
		}
		if err := renameat2(from.parent, from.name, target.parent, target.name, 0); err != nil {
			return posixFailure(err, path, "none")
		}
		return nil
	})
}

func opSymlink(d *daemon, s *stream, m *members, key *claim) (*outcome, error) {
	path, target, roots := m.path("path"), m.text("target"), readRoots(m)
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	return mutation(d, s, key, func() error {
		found, err := resolve(roots, path, false, true, nil)
		if err != nil {
			return err
		}
		defer found.close()
		if found.exists() {
			return posixFailure(syscall.EEXIST, path, "none")
		}
		if err := symlinkat(target, found.parent, found.name); err != nil {
			return posixFailure(err, path, "none")
		}
		return nil
	})
}

func opChmod(d *daemon, s *stream, m *members, key *claim) (*outcome, error) {
	path, mode, roots := m.path("path"), uint32(m.integer("mode", 0, modeBits)), readRoots(m)
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	return mutation(d, s, key, func() error {
		found, err := resolve(roots, path, true, true, nil)
		if err != nil {
			return err
		}
		defer found.close()
		if !found.exists() {
			return absent(path)
		}
		if err := chmodDescriptor(found.target, mode); err != nil {
			return posixFailure(err, path, "none")
		}
		return nil
	})
}

// jsonLine is a value as a line of its own.
func jsonLine(buffer *bytes.Buffer, value any) {
	encoder := json.NewEncoder(buffer)
	encoder.SetEscapeHTML(false)
	encoder.Encode(value)
}

// trimSlashes lets a directory that is to be made be named with a slash at its end.
func trimSlashes(path string) string {
	if trimmed := strings.TrimRight(path, "/"); trimmed != "" {
		return trimmed
	}
	return "/"
}
