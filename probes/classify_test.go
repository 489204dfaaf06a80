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
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"syscall"
	"testing"
)

func TestClassify(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	dial := func(err error) error {
		return &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", err)}
	}
	read := func(err error) error { return &net.OpError{Op: "read", Net: "tcp", Err: err} }
	inHTTP := func(err error) error { return &stageError{reason: ReasonProtocol, error: err} }
	inTLS := func(err error) error { return &stageError{reason: ReasonTLSHandshake, error: err} }

	for _, test := range []struct {
		name string
		ctx  context.Context
		err  error
		want Result
	}{
		{"refused", nil, dial(syscall.ECONNREFUSED), FailureResult(ReasonConnectionRefused)},
		{"reset", nil, inHTTP(read(os.NewSyscallError("read", syscall.ECONNRESET))), FailureResult(ReasonConnectionClosed)},
		{"broken pipe", nil, read(syscall.EPIPE), FailureResult(ReasonConnectionClosed)},
		{"end of file", nil, inHTTP(io.EOF), FailureResult(ReasonConnectionClosed)},
		{"end in the middle", nil, inHTTP(io.ErrUnexpectedEOF), FailureResult(ReasonConnectionClosed)},
		{"end in a handshake", nil, inTLS(io.EOF), FailureResult(ReasonConnectionClosed)},
		{"kernel's timeout", nil, dial(syscall.ETIMEDOUT), FailureResult(ReasonTimeout)},
		{"connection's deadline", nil, inHTTP(read(os.ErrDeadlineExceeded)), FailureResult(ReasonTimeout)},
		{"context's deadline", nil, read(context.DeadlineExceeded), FailureResult(ReasonTimeout)},
		{"no such host", nil, dial(syscall.EHOSTUNREACH), FailureResult(ReasonHostUnreachable)},
		{"host down", nil, dial(syscall.EHOSTDOWN), FailureResult(ReasonHostUnreachable)},

		{"file descriptors", nil, dial(syscall.EMFILE), UnknownResult(ReasonLocalResources)},
		{"file table", nil, dial(syscall.ENFILE), UnknownResult(ReasonLocalResources)},
		{"ports", nil, dial(syscall.EADDRNOTAVAIL), UnknownResult(ReasonLocalResources)},
		{"buffers", nil, dial(syscall.ENOBUFS), UnknownResult(ReasonLocalResources)},
		{"memory", nil, dial(syscall.ENOMEM), UnknownResult(ReasonLocalResources)},
		{"no route", nil, dial(syscall.ENETUNREACH), UnknownResult(ReasonNetworkUnreachable)},
		{"network down", nil, dial(syscall.ENETDOWN), UnknownResult(ReasonNetworkUnreachable)},
		{"local firewall", nil, dial(syscall.EPERM), UnknownResult(ReasonNetworkUnreachable)},
		{"prohibited route", nil, dial(syscall.EACCES), UnknownResult(ReasonNetworkUnreachable)},
		{"no IPv6", nil, dial(syscall.EAFNOSUPPORT), UnknownResult(ReasonNetworkUnreachable)},

		{"own host at once", nil, &networkError{syscall.EHOSTUNREACH, true}, UnknownResult(ReasonNetworkUnreachable)},
		{"own host's blackhole route", nil, &networkError{syscall.EINVAL, true}, UnknownResult(ReasonNetworkUnreachable)},
		{"own host refuses", nil, &networkError{syscall.ECONNREFUSED, true}, UnknownResult(ReasonNetworkUnreachable)},
		{"own host without ports", nil, &networkError{syscall.EADDRNOTAVAIL, true}, UnknownResult(ReasonLocalResources)},
		{"router refuses", nil, inHTTP(&networkError{syscall.ECONNREFUSED, false}), FailureResult(ReasonConnectionRefused)},
		{"router without a route", nil, inTLS(&networkError{syscall.ENETUNREACH, false}), FailureResult(ReasonHostUnreachable)},
		{"router prohibits", nil, &networkError{syscall.EACCES, false}, FailureResult(ReasonHostUnreachable)},

		{"no such name", nil, &lookupError{"legacy.example", LookupMissing}, UnknownResult(ReasonNameResolution)},
		{"silent resolver", nil, &lookupError{"legacy.example", LookupTimeout}, UnknownResult(ReasonNameResolution)},
		{"slow resolver", nil, &slowLookupError{read(os.ErrDeadlineExceeded)}, UnknownResult(ReasonNameResolution)},
		{"guard", nil, read(fmt.Errorf("%w: 127.0.0.1", ErrAddressRefused)), FailureResult(ReasonAddressRefused)},

		{"cancelled", canceled, read(os.ErrDeadlineExceeded), UnknownResult(ReasonCanceled)},
		{"cancelled lookup", canceled, &lookupError{"legacy.example", LookupTimeout}, UnknownResult(ReasonCanceled)},
		{"cancelled dial", nil, read(context.Canceled), UnknownResult(ReasonCanceled)},

		{"unknown authority", nil, inTLS(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), FailureResult(ReasonCertificate)},
		{"no roots", nil, inTLS(&tls.CertificateVerificationError{Err: x509.SystemRootsError{}}), UnknownResult(ReasonInternal)},
		{"no TLS", nil, inTLS(tls.RecordHeaderError{}), FailureResult(ReasonProtocol)},
		{"late alert", nil, inHTTP(&net.OpError{Op: "remote error", Err: tls.AlertError(116)}), FailureResult(ReasonTLSHandshake)},
		{"other handshake error", nil, inTLS(errors.New("tls: server selected unsupported version")), FailureResult(ReasonTLSHandshake)},
		{"malformed response", nil, inHTTP(errors.New("malformed")), FailureResult(ReasonProtocol)},
		{"malformed body", nil, inHTTP(gzip.ErrHeader), FailureResult(ReasonProtocol)},

		{"unheard-of errno", nil, dial(syscall.EINVAL), UnknownResult(ReasonInternal)},
		{"unheard-of error", nil, &url.Error{Err: errors.New("?")}, UnknownResult(ReasonInternal)},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.ctx == nil {
				test.ctx = t.Context()
			}
			if got := classify(test.ctx, test.err); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}

// TestReasonsAreDescribed keeps a reason from reaching users without its sentence.
func TestReasonsAreDescribed(t *testing.T) {
	for _, result := range errnoResults {
		if result.Message() == "" {
			t.Errorf("%s has no description", result.Reason)
		}
	}
}
