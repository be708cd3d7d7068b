package main

import "syscall"

// fileChunkBytes is how much of a file one job of an agent thread moves.
const fileChunkBytes = 256 << 10

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
