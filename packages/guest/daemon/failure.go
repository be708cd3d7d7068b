package main

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
)

// failure is an error as the protocol carries it; its codes are those of @glovebox/core.
type failure struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Effect  string `json:"effect"`
	Reason  string `json:"reason,omitempty"`
}

func (f *failure) Error() string { return f.Code + ": " + f.Message }

// refuse is a failure before anything was done.
func refuse(code, reason, format string, values ...any) *failure {
	return &failure{Code: code, Message: strings.ToValidUTF8(fmt.Sprintf(format, values...), "\uFFFD"), Effect: "none", Reason: reason}
}

func invalid(err error) *failure { return refuse("invalid_argument", "", "%v", err) }

// errno is a POSIX error with the name programs know it by, its code and its text.
type errnoEntry struct{ code, name, text string }

var errnoTable = map[syscall.Errno]errnoEntry{
	syscall.ENOENT:       {"not_found", "ENOENT", "no such file or directory"},
	syscall.EACCES:       {"permission_denied", "EACCES", "permission denied"},
	syscall.EPERM:        {"permission_denied", "EPERM", "operation not permitted"},
	syscall.EROFS:        {"permission_denied", "EROFS", "read-only file system"},
	syscall.ENOTDIR:      {"failed_precondition", "ENOTDIR", "not a directory"},
	syscall.EISDIR:       {"failed_precondition", "EISDIR", "is a directory"},
	syscall.ENOTEMPTY:    {"failed_precondition", "ENOTEMPTY", "directory not empty"},
	syscall.ELOOP:        {"failed_precondition", "ELOOP", "too many levels of symbolic links"},
	syscall.EBUSY:        {"failed_precondition", "EBUSY", "device or resource busy"},
	syscall.ETXTBSY:      {"failed_precondition", "ETXTBSY", "text file busy"},
	syscall.EXDEV:        {"failed_precondition", "EXDEV", "on another file system"},
	syscall.ENOEXEC:      {"failed_precondition", "ENOEXEC", "not a program that can run here"},
	syscall.EEXIST:       {"already_exists", "EEXIST", "file exists"},
	syscall.ENAMETOOLONG: {"invalid_argument", "ENAMETOOLONG", "file name too long"},
	syscall.EINVAL:       {"invalid_argument", "EINVAL", "invalid argument"},
	syscall.E2BIG:        {"invalid_argument", "E2BIG", "argument list too long"},
	syscall.ENOSPC:       {"resource_exhausted", "ENOSPC", "no space left on device"},
	syscall.EDQUOT:       {"resource_exhausted", "EDQUOT", "disk quota exceeded"},
	syscall.EFBIG:        {"resource_exhausted", "EFBIG", "file too large"},
	syscall.EMFILE:       {"resource_exhausted", "EMFILE", "too many open files"},
	syscall.ENFILE:       {"resource_exhausted", "ENFILE", "too many open files"},
	syscall.EMLINK:       {"resource_exhausted", "EMLINK", "too many links"},
	syscall.EAGAIN:       {"resource_exhausted", "EAGAIN", "resource temporarily unavailable"},
	syscall.ENOMEM:       {"resource_exhausted", "ENOMEM", "cannot allocate memory"},
}

// posixFailure says what the kernel answered about `subject`, which is named as it was given.
func posixFailure(err error, subject, effect string) *failure {
	var number syscall.Errno
	if !errors.As(err, &number) {
		return &failure{Code: "internal", Message: fmt.Sprintf("%s: %v", subject, err), Effect: effect}
	}
	known, there := errnoTable[number]
	if !there {
		known = errnoEntry{"unknown", fmt.Sprintf("errno_%d", int(number)), number.Error()}
	}
	return &failure{Code: known.code, Message: subject + ": " + known.text, Effect: effect, Reason: known.name}
}

// asFailure keeps failures as they are and names everything else about `subject`.
func asFailure(err error, subject, effect string) *failure {
	var known *failure
	if errors.As(err, &known) {
		return known
	}
	return posixFailure(err, subject, effect)
}

func absent(path string) error { return posixFailure(syscall.ENOENT, path, "none") }
