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

package targets

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

// Process is the target server, seen from the bench.
type Process struct {
	Places
	command *exec.Cmd
	stdin   io.WriteCloser
	counted chan Counts
	// Answers hears when each target first answered that it is down.
	Answers chan Answer
}

// Start starts the target server in a process of its own, so that its CPU does not count
// as the prober's.
func Start(ctx context.Context) (*Process, error) {
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
	t := &Process{command: command, stdin: stdin, counted: make(chan Counts, 1), Answers: make(chan Answer, maxIndexes)}
	lines := json.NewDecoder(bufio.NewReader(stdout))
	var first message
	if err := lines.Decode(&first); err != nil || first.Places == nil {
		return nil, errors.Join(fmt.Errorf("the targets did not start: %w", err), t.Stop())
	}
	t.Places = *first.Places
	go t.listen(lines)
	return t, nil
}

func (t *Process) listen(lines *json.Decoder) {
	for {
		var heard message
		if lines.Decode(&heard) != nil {
			return
		}
		switch {
		case heard.Counts != nil:
			t.counted <- *heard.Counts
		case heard.Answer != nil:
			t.Answers <- *heard.Answer
		}
	}
}

// Count asks how many probes have been answered so far.
func (t *Process) Count() (Counts, error) {
	if _, err := io.WriteString(t.stdin, "count\n"); err != nil {
		return Counts{}, fmt.Errorf("ask the targets: %w", err)
	}
	select {
	case now := <-t.counted:
		return now, nil
	case <-time.After(10 * time.Second):
		return Counts{}, errors.New("the targets do not answer")
	}
}

// Fail makes targets answer that they are down.
func (t *Process) Fail(indexes []int) error {
	command := "fail " + strings.Trim(fmt.Sprint(indexes), "[]") + "\n"
	_, err := io.WriteString(t.stdin, command)
	return err
}

// Stop ends the target server.
func (t *Process) Stop() error {
	_ = t.stdin.Close() // which ends it
	return t.command.Wait()
}

// Address spreads the targets over 127.0.0.0/8 from 127.1.0.0 on, as outside endpoints
// have addresses of their own.
func Address(index int) string {
	return fmt.Sprintf("127.%d.%d.%d", 1+index>>16, index>>8&0xff, index&0xff)
}

// URL is where the target of this index is probed.
func (p Places) URL(scheme string, index int) string {
	switch scheme {
	case "http":
		return fmt.Sprintf("http://%s:%d/%d", Address(index), p.HTTP, index)
	case "https":
		return fmt.Sprintf("https://%s:%d/%d", Address(index), p.TLS, index)
	case "tcp":
		return fmt.Sprintf("tcp://%s:%d", Address(index), p.TCP)
	}
	return fmt.Sprintf("http://%s:%d/", Address(index), p.BlackHole)
}
