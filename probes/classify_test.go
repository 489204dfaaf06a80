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
		{"refused", nil, dial(syscall.ECONNREFUSED), failure(ReasonConnectionRefused)},
		{"reset", nil, inHTTP(read(os.NewSyscallError("read", syscall.ECONNRESET))), failure(ReasonConnectionClosed)},
		{"broken pipe", nil, read(syscall.EPIPE), failure(ReasonConnectionClosed)},
		{"end of file", nil, inHTTP(io.EOF), failure(ReasonConnectionClosed)},
		{"end in the middle", nil, inHTTP(io.ErrUnexpectedEOF), failure(ReasonConnectionClosed)},
		{"end in a handshake", nil, inTLS(io.EOF), failure(ReasonConnectionClosed)},
		{"kernel's timeout", nil, dial(syscall.ETIMEDOUT), failure(ReasonTimeout)},
		{"connection's deadline", nil, inHTTP(read(os.ErrDeadlineExceeded)), failure(ReasonTimeout)},
		{"context's deadline", nil, read(context.DeadlineExceeded), failure(ReasonTimeout)},
		{"no such host", nil, dial(syscall.EHOSTUNREACH), failure(ReasonHostUnreachable)},
		{"host down", nil, dial(syscall.EHOSTDOWN), failure(ReasonHostUnreachable)},

		{"file descriptors", nil, dial(syscall.EMFILE), unknown(ReasonLocalResources)},
		{"file table", nil, dial(syscall.ENFILE), unknown(ReasonLocalResources)},
		{"ports", nil, dial(syscall.EADDRNOTAVAIL), unknown(ReasonLocalResources)},
		{"buffers", nil, dial(syscall.ENOBUFS), unknown(ReasonLocalResources)},
		{"memory", nil, dial(syscall.ENOMEM), unknown(ReasonLocalResources)},
		{"no route", nil, dial(syscall.ENETUNREACH), unknown(ReasonNetworkUnreachable)},
		{"network down", nil, dial(syscall.ENETDOWN), unknown(ReasonNetworkUnreachable)},
		{"local firewall", nil, dial(syscall.EPERM), unknown(ReasonNetworkUnreachable)},
		{"prohibited route", nil, dial(syscall.EACCES), unknown(ReasonNetworkUnreachable)},
		{"no IPv6", nil, dial(syscall.EAFNOSUPPORT), unknown(ReasonNetworkUnreachable)},

		{"own host at once", nil, &networkError{syscall.EHOSTUNREACH, true}, unknown(ReasonNetworkUnreachable)},
		{"own host's blackhole route", nil, &networkError{syscall.EINVAL, true}, unknown(ReasonNetworkUnreachable)},
		{"own host refuses", nil, &networkError{syscall.ECONNREFUSED, true}, unknown(ReasonNetworkUnreachable)},
		{"own host without ports", nil, &networkError{syscall.EADDRNOTAVAIL, true}, unknown(ReasonLocalResources)},
		{"router refuses", nil, inHTTP(&networkError{syscall.ECONNREFUSED, false}), failure(ReasonConnectionRefused)},
		{"router without a route", nil, inTLS(&networkError{syscall.ENETUNREACH, false}), failure(ReasonHostUnreachable)},
		{"router prohibits", nil, &networkError{syscall.EACCES, false}, failure(ReasonHostUnreachable)},

		{"no such name", nil, &lookupError{"legacy.example", LookupMissing}, unknown(ReasonNameResolution)},
		{"silent resolver", nil, &lookupError{"legacy.example", LookupTimeout}, unknown(ReasonNameResolution)},
		{"slow resolver", nil, &slowLookupError{read(os.ErrDeadlineExceeded)}, unknown(ReasonNameResolution)},
		{"guard", nil, read(fmt.Errorf("%w: 127.0.0.1", ErrAddressRefused)), failure(ReasonAddressRefused)},

		{"cancelled", canceled, read(os.ErrDeadlineExceeded), unknown(ReasonCanceled)},
		{"cancelled lookup", canceled, &lookupError{"legacy.example", LookupTimeout}, unknown(ReasonCanceled)},
		{"cancelled dial", nil, read(context.Canceled), unknown(ReasonCanceled)},

		{"unknown authority", nil, inTLS(&tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), failure(ReasonCertificate)},
		{"no roots", nil, inTLS(&tls.CertificateVerificationError{Err: x509.SystemRootsError{}}), unknown(ReasonInternal)},
		{"no TLS", nil, inTLS(tls.RecordHeaderError{}), failure(ReasonProtocol)},
		{"late alert", nil, inHTTP(&net.OpError{Op: "remote error", Err: tls.AlertError(116)}), failure(ReasonTLSHandshake)},
		{"other handshake error", nil, inTLS(errors.New("tls: server selected unsupported version")), failure(ReasonTLSHandshake)},
		{"malformed response", nil, inHTTP(errors.New("malformed")), failure(ReasonProtocol)},
		{"malformed body", nil, inHTTP(gzip.ErrHeader), failure(ReasonProtocol)},

		{"unheard-of errno", nil, dial(syscall.EINVAL), unknown(ReasonInternal)},
		{"unheard-of error", nil, &url.Error{Err: errors.New("?")}, unknown(ReasonInternal)},
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
