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

package protocol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/transport"
)

// Step is one step of a dialogue: a probe sends something, or waits until it has received
// something. One of the fields is empty.
type Step struct{ Send, Expect []byte }

// Bounds of a dialogue.
const (
	// MaxSteps is how many steps a dialogue has at most.
	MaxSteps = 16
	// maxStepBytes is how many bytes a step has at most.
	maxStepBytes = 1 << 10
)

// validateSteps returns an error that tells the user what to write instead.
func validateSteps(block string, steps []Step) error {
	if len(steps) > MaxSteps {
		return fmt.Errorf("healthCheck.%s.steps has more than %d steps: remove some", block, MaxSteps)
	}
	for i, step := range steps {
		switch {
		case (len(step.Send) == 0) == (len(step.Expect) == 0):
			return fmt.Errorf("healthCheck.%s.steps[%d] must either send or expect something: write one of send, sendBase64, expect and expectBase64", block, i)
		case len(step.Send) > maxStepBytes || len(step.Expect) > maxStepBytes:
			return fmt.Errorf("healthCheck.%s.steps[%d] is longer than %d bytes: shorten it", block, i, maxStepBytes)
		}
	}
	return nil
}

// runSteps carries out the steps of a dialogue over a connection. What is received behind an
// expected text is kept for the steps after it. A step reads up to 4 KiB.
func runSteps(conn net.Conn, steps []Step) error {
	if len(steps) == 0 {
		return nil
	}
	buffer := answers.Get().(*[maxAnswerBytes]byte)
	defer answers.Put(buffer)
	length := 0 // of what was received, and not expected yet
	for _, step := range steps {
		if len(step.Send) > 0 {
			if _, err := conn.Write(step.Send); err != nil {
				return err
			}
			continue
		}
		end, err := receiveUntil(conn, step.Expect, buffer[:], &length)
		if err != nil {
			return err
		}
		length = copy(buffer[:], buffer[end:length])
	}
	return nil
}

// receiveUntil reads into a buffer, of which length bytes are filled, until the expected bytes
// have appeared or the buffer is full. It returns where they end.
func receiveUntil(r io.Reader, expect, buffer []byte, length *int) (end int, err error) {
	for from := 0; ; {
		if at := bytes.Index(buffer[from:*length], expect); at >= 0 {
			return from + at + len(expect), nil
		}
		if *length == len(buffer) {
			return 0, errUnexpectedContent
		}
		from = max(0, *length-len(expect)+1) // only new bytes can complete the match
		n, err := r.Read(buffer[*length:])
		*length += n
		switch {
		case n > 0 || err == nil:
		case *length > 0 && (errors.Is(err, io.EOF) || transport.IsTimeout(err)):
			return 0, errUnexpectedContent // it has answered, with something else
		default:
			return 0, err
		}
	}
}

var errUnexpectedContent = &probes.ReasonError{
	Reason: probes.ReasonContent,
	Err:    errors.New("answer does not match"),
}
