package main

import (
	"errors"
	"io"
	"syscall"
)

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
