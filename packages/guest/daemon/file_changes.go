package main

import "syscall"

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
