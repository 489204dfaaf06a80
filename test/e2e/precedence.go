//go:build linux

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

package e2e

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// niceValue is the nice value of the processes that get priority.
const niceValue = -10

// autogroup is where the kernel keeps the nice value of the session that this process
// belongs to, against other sessions; sched(7).
const autogroup = "/proc/self/autogroup"

// TakePrecedence gives this process, and those that it starts from now on, priority over others on
// the machine: the measured times are milliseconds, to which other processes would add theirs. The
// function that it returns restores the settings that outlive this process.
func TakePrecedence() (giveBack func() error, err error) {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return nil, err
	}
	for _, thread := range threads { // each has its own, and gives it to its children
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			return nil, err
		}
		if err := unix.Setpriority(unix.PRIO_PROCESS, id, niceValue); err != nil && !errors.Is(err, unix.ESRCH) {
			return nil, fmt.Errorf("take precedence: %w", err)
		}
	}
	text, err := os.ReadFile(autogroup)
	if errors.Is(err, os.ErrNotExist) { // there are no such groups: it was all
		return func() error { return nil }, nil
	}
	if err != nil {
		return nil, err
	}
	_, before, _ := strings.Cut(strings.TrimSpace(string(text)), " nice ") // as in "/autogroup-7 nice 0"
	set := func(value string) error { return os.WriteFile(autogroup, []byte(value), 0) }
	return func() error { return set(before) }, set(strconv.Itoa(niceValue))
}
