package main

import (
	"crypto/rand"
	"encoding/hex"
	"syscall"
)

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
