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

package probes

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/netip"
)

// plain is a prober whose probe is one connection to an address, on which it says
// something, or nothing, and then listens to an answer, or does not. A [loop] makes such
// probes without a goroutine for each; Probe makes them, too.
type plain interface {
	Prober
	// isPlain is false if there is more to it after all: a name to resolve, TLS,
	// redirects to follow, or an expression to match, which takes time.
	isPlain() bool
	// address is where to connect; an error if no probe may.
	address() (netip.AddrPort, error)
	// request is what to say first.
	request() []byte
	// listens reports whether the answer matters.
	listens() bool
	// hear reads as much of the answer as matters, and says how to end the connection. Its
	// error is the reader's, or tells what is wrong with the answer.
	hear(answer io.Reader) (Result, ending, error)
}

// errUnfinished is how the first part of an answer ends when more may come.
var errUnfinished = errors.New("more is to come")

// firstPart is what has come of an answer. An error of hear that is errUnfinished means
// that it takes more.
type firstPart struct{ heard []byte }

// Read implements io.Reader.
func (p *firstPart) Read(b []byte) (int, error) {
	if len(p.heard) == 0 {
		return 0, errUnfinished
	}
	n := copy(b, p.heard)
	p.heard = p.heard[n:]
	return n, nil
}

// resume makes the rest of a plain prober's probe, on a connection where some of the
// request has been said, or some of the answer heard.
func resume(ctx context.Context, prober plain, conn stream, unsaid, heard []byte) Result {
	result, how := SuccessResult(), farewell
	err := converseOn(ctx, conn, func(conn stream) (err error) {
		if len(unsaid) > 0 {
			_, err = conn.Write(unsaid)
		}
		if prober.listens() { // whether or not it could be said, see httpProber.exchange
			result, how, err = prober.hear(io.MultiReader(bytes.NewReader(heard), conn))
		}
		if err == nil {
			how.make(ctx, conn)
		}
		return err
	})
	if err != nil {
		return classify(ctx, err)
	}
	return result
}
