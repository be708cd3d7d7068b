package main

import (
	"bytes"
	"syscall"
)

func opEdit(d *daemon, s *stream, m *members, key *claim) (*outcome, error) {
	path, roots, replaceAll := m.path("path"), readRoots(m), m.boolean("replaceAll")
	oldBytes, newBytes := int(m.integer("oldBytes", 1, maxCollectedBytes)), int(m.integer("newBytes", 0, maxCollectedBytes))
	maxBytes := m.integer("maxBytes", 0, maxCollectedBytes)
	if err := m.err(); err != nil {
		return nil, invalid(err)
	}
	text, err := s.readExactly(oldBytes + newBytes)
	if err != nil {
		return nil, err
	}
	return key.once(d, s, text, func(run *callRun) (*outcome, error) {
		if err := run.commit(); err != nil {
			return nil, err
		}
		return asAgent(d.threads, func() (*outcome, error) {
			return edit(roots, path, text[:oldBytes], text[oldBytes:], replaceAll, maxBytes)
		})
	})
}

// edit replaces literal text in a file; nothing is written when it is not there, or is there more than once and one was meant.
func edit(roots []root, path string, old, new []byte, replaceAll bool, maxBytes int64) (*outcome, error) {
	found, descriptor, err := openRegular(roots, path, true)
	if err != nil {
		return nil, err
	}
	content, err := readWhole(found, descriptor, maxBytes)
	syscall.Close(descriptor)
	if err != nil {
		found.close()
		return nil, err
	}
	occurrences := bytes.Count(content, old)
	if occurrences == 0 || occurrences > 1 && !replaceAll {
		found.close()
		return &outcome{fields: map[string]any{"occurrences": occurrences, "edited": false}}, nil
	}
	pending, err := newPendingFile(found)
	if err != nil {
		found.close()
		return nil, err
	}
	defer pending.close()
	if err := pending.write(bytes.ReplaceAll(content, old, new)); err != nil {
		return nil, err
	}
	if err := pending.commit(0o600, false); err != nil {
		return nil, err
	}
	return &outcome{fields: map[string]any{"occurrences": occurrences, "edited": true}}, nil
}

// readWhole reads a file of at most `maxBytes`; one that grows meanwhile is too large as well.
func readWhole(found *place, descriptor int, maxBytes int64) ([]byte, error) {
	tooLarge := refuse("resource_exhausted", "too_large", "%s: has %d bytes, more than %d", found.given, found.stat.Size, maxBytes)
	if found.stat.Size > maxBytes {
		return nil, tooLarge
	}
	content := make([]byte, found.stat.Size+1)
	count, err := preadFull(descriptor, content, 0)
	if err != nil {
		return nil, posixFailure(err, found.given, "none")
	}
	if int64(count) > maxBytes || count == len(content) {
		return nil, tooLarge
	}
	return content[:count], nil
}
