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

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// targets is the target server, seen from the bench.
type targets struct {
	places
	command *exec.Cmd
	stdin   io.WriteCloser
	counted chan counts
	// answers hears when each target first answered that it is down.
	answers chan answer
}

// startTargets starts the target server in a process of its own, so that its CPU does not count
// as the prober's.
func startTargets(ctx context.Context) (*targets, error) {
	command := exec.CommandContext(ctx, os.Args[0], "targets")
	command.Stderr = os.Stderr
	stdin, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := command.Start(); err != nil {
		return nil, fmt.Errorf("start the targets: %w", err)
	}
	t := &targets{command: command, stdin: stdin, counted: make(chan counts, 1), answers: make(chan answer, maxIndexes)}
	lines := json.NewDecoder(bufio.NewReader(stdout))
	var first message
	if err := lines.Decode(&first); err != nil || first.Places == nil {
		return nil, errors.Join(fmt.Errorf("the targets did not start: %w", err), t.stop())
	}
	t.places = *first.Places
	go t.listen(lines)
	return t, nil
}

func (t *targets) listen(lines *json.Decoder) {
	for {
		var heard message
		if lines.Decode(&heard) != nil {
			return
		}
		switch {
		case heard.Counts != nil:
			t.counted <- *heard.Counts
		case heard.Answer != nil:
			t.answers <- *heard.Answer
		}
	}
}

// count asks how many probes have been answered so far.
func (t *targets) count() (counts, error) {
	if _, err := io.WriteString(t.stdin, "count\n"); err != nil {
		return counts{}, fmt.Errorf("ask the targets: %w", err)
	}
	select {
	case now := <-t.counted:
		return now, nil
	case <-time.After(10 * time.Second):
		return counts{}, errors.New("the targets do not answer")
	}
}

// fail makes targets answer that they are down.
func (t *targets) fail(indexes []int) error {
	command := "fail " + strings.Trim(fmt.Sprint(indexes), "[]") + "\n"
	_, err := io.WriteString(t.stdin, command)
	return err
}

func (t *targets) stop() error {
	_ = t.stdin.Close() // which ends it
	return t.command.Wait()
}

// address spreads the targets over 127.0.0.0/8 from 127.1.0.0 on, as outside endpoints
// have addresses of their own.
func address(index int) string {
	return fmt.Sprintf("127.%d.%d.%d", 1+index>>16, index>>8&0xff, index&0xff)
}

// url is where the target of this index is probed.
func (p places) url(scheme string, index int) string {
	switch scheme {
	case "http":
		return fmt.Sprintf("http://%s:%d/%d", address(index), p.HTTP, index)
	case "https":
		return fmt.Sprintf("https://%s:%d/%d", address(index), p.TLS, index)
	case "tcp":
		return fmt.Sprintf("tcp://%s:%d", address(index), p.TCP)
	}
	return fmt.Sprintf("http://%s:%d/", address(index), p.BlackHole)
}
