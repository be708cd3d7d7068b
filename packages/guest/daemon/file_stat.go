package main

import (
	"syscall"
	"time"
)

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
