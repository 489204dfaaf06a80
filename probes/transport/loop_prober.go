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

package transport

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"

	"farpoint.dev/farpoint/probes"
)

// LoopProber is a prober whose probe is one connection to an address, on which it says
// something, or nothing, and then listens to an answer, or does not. A [loop] makes such
// probes without a goroutine for each; Probe makes them, too.
type LoopProber interface {
	probes.Prober
	// LoopEligible is false if there is more to it after all: a name to resolve, TLS,
	// redirects to follow, or an expression to match, which takes time.
	LoopEligible() bool
	// Address is where to connect; an error if no probe may.
	Address() (netip.AddrPort, error)
	// Request is what to say first.
	Request() []byte
	// ReadsResponse reports whether the answer matters.
	ReadsResponse() bool
	// ParseResponse reads as much of the answer as matters, and says how to end the connection.
	// Its error is the reader's, or says what is wrong with the answer.
	ParseResponse(answer io.Reader) (probes.Result, Ending, error)
}

// ErrIncomplete is how the first part of an answer ends when more may come.
var ErrIncomplete = errors.New("more is to come")

// PartialResponse is what has come of an answer. An error of hear that is errUnfinished means
// that it takes more.
type PartialResponse struct{ Received []byte }

// Read implements io.Reader.
func (p *PartialResponse) Read(b []byte) (int, error) {
	if len(p.Received) == 0 {
		return 0, ErrIncomplete
	}
	n := copy(b, p.Received)
	p.Received = p.Received[n:]
	return n, nil
}

// ResumeProbe makes the rest of a plain prober's probe, on a connection where some of the
// request has been sent, or some of the response received.
func ResumeProbe(ctx context.Context, prober LoopProber, conn Stream, unsaid, heard []byte) probes.Result {
	result, how := probes.SuccessResult(), CloseAfterResponse
	err := converseOn(ctx, conn, func(conn Stream) (err error) {
		if len(unsaid) > 0 {
			_, err = conn.Write(unsaid)
		}
		if prober.ReadsResponse() { // whether or not it could be sent, see httpProber.exchange
			result, how, err = prober.ParseResponse(io.MultiReader(bytes.NewReader(heard), conn))
		}
		if err == nil {
			how.Apply(ctx, conn)
		}
		return err
	})
	if err != nil {
		return Classify(ctx, err)
	}
	return result
}
