package main

import (
	"path"
	"strings"
	"syscall"
)

func (d *daemon) credential(as user) *syscall.Credential {
	if !d.isRoot {
		return nil
	}
	return &syscall.Credential{Uid: as.uid, Gid: as.gid, Groups: []uint32{as.gid}}
}

// environment of a program: nothing of the guest's own.
func (d *daemon) environment(as user, added map[string]string) []string {
	values := map[string]string{"PATH": d.config.path, "HOME": as.home, "USER": as.name, "LANG": "C.UTF-8"}
	for name, value := range d.config.env {
		values[name] = value
	}
	for name, value := range added {
		values[name] = value
	}
	list := make([]string, 0, len(values))
	for name, value := range values {
		list = append(list, name+"="+value)
	}
	return list
}

// findProgram looks a bare name up on the PATH that the program will have. On a thread of the agent's: with its eyes.
func findProgram(name, cwd string, environment []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	search := ""
	for _, entry := range environment {
		if value, found := strings.CutPrefix(entry, "PATH="); found {
			search = value
		}
	}
	failure := syscall.ENOENT
	for directory := range strings.SplitSeq(search, ":") {
		if !path.IsAbs(directory) {
			directory = path.Join(cwd, directory)
		}
		candidate := directory + "/" + name
		var stat syscall.Stat_t
		err := syscall.Stat(candidate, &stat)
		if err == nil && stat.Mode&syscall.S_IFMT == syscall.S_IFREG && stat.Mode&0o111 != 0 {
			return candidate, nil
		}
		if err == syscall.EACCES {
			failure = syscall.EACCES
		}
	}
	return "", posixFailure(failure, name, "none")
}

// startFailure tells the directory's trouble from the program's.
func (d *daemon) startFailure(err error, program, cwd string) error {
	subject := program
	if err == syscall.ENOENT || err == syscall.EACCES || err == syscall.ENOTDIR {
		_, cwdErr := asAgent(d.threads, func() (int, error) {
			descriptor, err := syscall.Open(cwd+"/.", openPath|syscall.O_DIRECTORY|syscall.O_CLOEXEC, 0)
			if err == nil {
				syscall.Close(descriptor)
			}
			return 0, err
		})
		if cwdErr != nil {
			subject, err = cwd, cwdErr
		}
	}
	return posixFailure(err, subject, "none")
}
