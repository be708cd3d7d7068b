package main

import (
	"bytes"
	"syscall"
)

// lineRange takes the lines wanted out of a file that comes in chunks.
type lineRange struct {
	start, end int64 // 1-based, inclusive
	max        int
	line       int64
	taken      []byte
}

// add takes what is wanted of a chunk and says whether more is.
func (r *lineRange) add(chunk []byte) (more bool, tooLarge bool) {
	for len(chunk) > 0 && r.line <= r.end {
		part := chunk
		newline := bytes.IndexByte(chunk, '\n')
		if newline >= 0 {
			part = chunk[:newline+1]
		}
		if r.line >= r.start {
			if len(r.taken)+len(part) > r.max {
				return false, true
			}
			r.taken = append(r.taken, part...)
		}
		chunk = chunk[len(part):]
		if newline >= 0 {
			r.line++
		}
	}
	return r.line <= r.end, false
}

func opReadLines(d *daemon, s *stream, m *members, _ *claim) (*outcome, error) {
	path, roots := m.path("path"), readRoots(m)
	r := &lineRange{start: m.integer("start", 1, 1<<53), end: m.integerOr("end", 1, 1<<53, 1<<53), max: int(m.integer("maxBytes", 0, maxCollectedBytes)), line: 1}
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	type opened struct {
		descriptor int
		size       int64
	}
	file, err := asAgent(d.threads, func() (opened, error) {
		found, descriptor, err := openRegular(roots, path, false)
		if err != nil {
			return opened{}, err
		}
		defer found.close()
		return opened{descriptor, found.stat.Size}, nil
	})
	if err != nil {
		return nil, err
	}
	defer syscall.Close(file.descriptor)
	buffer := make([]byte, min(fileChunkBytes, file.size+1))
	offset, more := int64(0), r.end >= r.start
	for more {
		if s.context.Err() != nil {
			return nil, errCancelled
		}
		count, err := asAgent(d.threads, func() (int, error) {
			if r.line < r.start {
				offset = skipHole(file.descriptor, offset)
			}
			return preadFull(file.descriptor, buffer, offset)
		})
		if err != nil {
			return nil, posixFailure(err, path, "none")
		}
		if count == 0 {
			break
		}
		offset += int64(count)
		tooLarge := false
		if more, tooLarge = r.add(buffer[:count]); tooLarge {
			if r.start == r.end {
				return nil, refuse("resource_exhausted", "too_large", "%s: line %d alone has more than %d bytes", path, r.start, r.max)
			}
			return nil, refuse("resource_exhausted", "too_large", "%s: the range has more than %d bytes", path, r.max)
		}
	}
	return ended(channelOutput, r.taken, map[string]any{"sizeBytes": file.size}), nil
}

// skipHole moves over a hole of a sparse file, in which no line ends.
func skipHole(descriptor int, offset int64) int64 {
	data, err := syscall.Seek(descriptor, offset, seekData)
	switch {
	case err == nil && data > offset:
		return data
	case err == syscall.ENXIO: // nothing but a hole up to the end
		if end, err := syscall.Seek(descriptor, 0, 2); err == nil {
			return max(end, offset)
		}
	}
	return offset
}
