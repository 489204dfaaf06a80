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
	"context"
	"errors"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/transport"
)

// plainFallback carries out SSLPrefer: TLS if the server can, and no
// TLS if it does not offer any or the handshake fails, as psql and mysql do. Servers whose
// newest version is TLS 1.1 are healthy, too. It makes nothing weaker: nobody verifies the
// certificate, so that credentials are kept back by the same rules with TLS and without.
type plainFallback struct {
	// plainLeft is how many more probes do without TLS before it is tried again. Each failed
	// handshake is an error in the server's log.
	plainLeft int
}

// plainProbesAfterFailure is how many probes do without TLS after a handshake has failed.
const plainProbesAfterFailure = 20

// result makes a probe, with TLS or without, and returns its result. If plainToo is set, the
// probe may fall back to a connection without TLS.
func (f *plainFallback) result(ctx context.Context, plainToo, encrypt bool, probe func(encrypt bool) error) probes.Result {
	var err error
	if plainToo {
		err = f.run(ctx, probe)
	} else {
		err = probe(encrypt)
	}
	if err != nil {
		return transport.Classify(ctx, err)
	}
	return probes.SuccessResult()
}

// run makes a probe by one connection, or by a second one after a handshake that failed.
func (f *plainFallback) run(ctx context.Context, probe func(encrypt bool) error) error {
	if f.plainLeft > 0 {
		f.plainLeft--
		err := probe(false)
		var refused *probes.ReasonError
		if !errors.As(err, &refused) || refused.Reason != probes.ReasonAuthentication {
			return err
		}
		f.plainLeft = 0 // the server may let the user in by TLS only
	}
	err := probe(true)
	if !failedHandshake(ctx, err) {
		return err
	}
	f.plainLeft = plainProbesAfterFailure
	return probe(false)
}

// failedHandshake reports whether the server could not agree on TLS with us, or broke the
// handshake off. That it was silent until the deadline leaves no time for a second try.
func failedHandshake(ctx context.Context, err error) bool {
	if err == nil {
		return false
	}
	switch transport.Classify(ctx, err).Reason {
	case probes.ReasonTLSHandshake:
		return true
	case probes.ReasonConnectionClosed, probes.ReasonProtocol:
		var stage *probes.ReasonError
		return errors.As(err, &stage) && stage.Reason == probes.ReasonTLSHandshake
	}
	return false
}
