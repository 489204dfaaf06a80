/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package servers

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// prepare has a program fill the folder data, which its arguments name. That takes seconds of CPU
// time, so it is done once for a version of the program and kept in the user's cache folder.
func (s *Server) prepare(program string, arguments ...string) {
	s.t.Helper()
	data := filepath.Join(s.folder, "data")
	cached, err := cacheFor(program, slices.DeleteFunc(slices.Clone(arguments), func(argument string) bool { return strings.Contains(argument, s.folder) }))
	if err != nil {
		s.t.Fatalf("%v", err)
	}
	if duplicate(cached, data) == nil {
		return
	}
	_ = os.RemoveAll(data) // what may be of a copy that failed
	s.run(program, arguments...)
	// Another process may do the same: the first to rename wins.
	if copied, err := os.MkdirTemp(filepath.Dir(cached), "incomplete-"); err == nil {
		if duplicate(data, filepath.Join(copied, "data")) == nil {
			_ = os.Rename(filepath.Join(copied, "data"), cached)
		}
		_ = os.RemoveAll(copied)
	}
}

// cacheFor returns the folder for what a program prepares when it is run with these arguments.
func cacheFor(program string, arguments []string) (string, error) {
	root, err := os.UserCacheDir()
	if err != nil {
		root = os.TempDir() // without $HOME
	}
	root = filepath.Join(root, "farpoint-test-servers")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return "", err
	}
	file, err := os.Stat(program)
	if err != nil {
		return "", err
	}
	version := sha256.Sum256(fmt.Append(nil, program, file.Size(), file.ModTime(), arguments, os.Geteuid()))
	return filepath.Join(root, fmt.Sprintf("%s-%x", filepath.Base(program), version[:8])), nil
}

// duplicate copies a folder with its owners.
func duplicate(from, to string) error {
	if _, err := os.Stat(from); err != nil {
		return err
	}
	return exec.Command("cp", "-a", "--reflink=auto", from, to).Run() //nolint:noctx // it takes milliseconds
}
