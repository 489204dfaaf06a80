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
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/probetest"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/servers"
)

const (
	serving    = grpc_health_v1.HealthCheckResponse_SERVING
	notServing = grpc_health_v1.HealthCheckResponse_NOT_SERVING
)

// grpcServer runs a server of grpc-go until the test ends. The health service is
// registered unless it is nil.
func grpcServer(t testing.TB, service grpc_health_v1.HealthServer, options ...grpc.ServerOption) (*grpc.Server, netip.AddrPort) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(options...)
	if service != nil {
		grpc_health_v1.RegisterHealthServer(server, service)
	}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-ended; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			t.Error(err)
		}
	})
	return server, probetest.AddrOf(listener)
}

func TestGRPCProbe(t *testing.T) {
	states := health.NewServer()
	states.SetServingStatus("shop.Cart", serving)
	states.SetServingStatus("shop.Stock", notServing)
	states.SetServingStatus("shop.New", grpc_health_v1.HealthCheckResponse_UNKNOWN)
	_, addr := grpcServer(t, states)
	_, without := grpcServer(t, nil)
	_, strict := grpcServer(t, states, grpc.UnaryInterceptor(func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
		if given, _ := metadata.FromIncomingContext(ctx); len(given["authorization"]) != 1 || given["authorization"][0] != "Bearer s3cret" {
			return nil, status.Error(codes.Unauthenticated, "s3cret")
		}
		return handle(ctx, request)
	}))
	failing := func(code codes.Code) netip.AddrPort {
		_, addr := grpcServer(t, states, grpc.UnaryInterceptor(func(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
			return nil, status.Error(code, "s3cret")
		}))
		return addr
	}
	for _, test := range []struct {
		name  string
		addr  netip.AddrPort
		path  string
		login *Credentials
		want  probes.Result
	}{
		{"the server", addr, "", nil, probes.SuccessResult()},
		{"the server, with a slash", addr, "/", nil, probes.SuccessResult()},
		{"serving", addr, " service=shop.Cart", nil, probes.SuccessResult()},
		{"not serving", addr, " service=shop.Stock", nil, probes.FailureResult(probes.ReasonNotServing)},
		{"not known yet", addr, " service=shop.New", nil, probes.FailureResult(probes.ReasonNotServing)},
		{"no such service", addr, " service=shop.Nothing", nil, probes.FailureResult(probes.ReasonServiceUnknown)},
		{"no health service", without, "", nil, probes.FailureResult(probes.ReasonHealthUnimplemented)},
		{"no login", strict, "", nil, probes.FailureResult(probes.ReasonAuthentication)},
		{"wrong token", strict, "", &Credentials{Token: "other"}, probes.FailureResult(probes.ReasonAuthentication)},
		{"right token", strict, "", &Credentials{Token: "s3cret"}, probes.SuccessResult()},
		{"permission denied", failing(codes.PermissionDenied), "", nil, probes.FailureResult(probes.ReasonAuthentication)},
		{"unavailable", failing(codes.Unavailable), "", nil, probes.Result{Outcome: probes.Failure, Reason: probes.ReasonStatus, Code: 14}},
		{"nobody listens", probetest.Refusing(t), "", nil, probes.FailureResult(probes.ReasonConnectionRefused)},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := at(test.addr, "grpc://"+test.path)
			def.Credentials, def.SendCredentialsToUnverifiedServers = test.login, true
			if got := result(t, def, probetest.Ample); got != test.want {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
	states.Shutdown()
	if got, want := result(t, at(addr, "grpc:// service=shop.Cart"), probetest.Ample), probes.FailureResult(probes.ReasonNotServing); got != want {
		t.Errorf("shut down: got %+v, want %+v", got, want)
	}
}

func TestResult_ServerWithoutHTTP2_SaysALPN(t *testing.T) {
	if message := probes.FailureResult(probes.ReasonALPN).Message(); !strings.Contains(message, "ALPN") || !strings.Contains(message, "h2") {
		t.Errorf("got %q", message)
	}
}

func TestGRPCSProbe(t *testing.T) {
	ca := probetest.NewAuthority(t)
	ours := ca.Issue(t, probetest.ForClients)
	server := func(config *tls.Config) netip.AddrPort {
		_, addr := grpcServer(t, health.NewServer(), grpc.Creds(credentials.NewTLS(config)))
		return addr
	}
	trusting := &transport.TLSSettings{CABundle: ca.Bundle()}
	for _, test := range []struct {
		name     string
		addr     netip.AddrPort
		settings *transport.TLSSettings
		want     probes.Result
	}{
		{"good", server(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}), trusting, probes.SuccessResult()},
		{"TLS 1.2", server(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}, MaxVersion: tls.VersionTLS12}), trusting, probes.SuccessResult()},
		{"expired", server(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t, probetest.Expired)}}), trusting, probes.FailureResult(probes.ReasonCertificate)},
		{"unknown authority", server(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}), nil, probes.FailureResult(probes.ReasonCertificate)},
		{"wants a certificate", server(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}, ClientAuth: tls.RequireAnyClientCert}), trusting, probes.FailureResult(probes.ReasonTLSHandshake)},
		{"gets a certificate", server(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}, ClientAuth: tls.RequireAnyClientCert}),
			&transport.TLSSettings{CABundle: ca.Bundle(), ClientCertificate: &ours}, probes.SuccessResult()},
		{"no ALPN", probetest.Serve(t, probetest.Secure(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}, probetest.Silence)), trusting, probes.FailureResult(probes.ReasonALPN)},
		{"only HTTP/1.1", probetest.Serve(t, probetest.Secure(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}, NextProtos: []string{alpnHTTP1}}, probetest.Silence)), trusting, probes.FailureResult(probes.ReasonALPN)},
	} {
		t.Run(test.name, func(t *testing.T) {
			def := at(test.addr, "grpcs://")
			def.TLS = test.settings
			prober := prepare(t, def)
			for range 2 {
				if got := probeOnce(t, prober, probetest.Ample); got != test.want {
					t.Errorf("got %+v, want %+v", got, test.want)
				}
			}
		})
	}
	plaintext, encrypted := at(server(&tls.Config{Certificates: []tls.Certificate{ca.Issue(t)}}), "grpc://"), at(probetest.Refusing(t), "grpcs://")
	_, addr := grpcServer(t, health.NewServer())
	encrypted.Address, encrypted.Port = addr.Addr(), addr.Port()
	for _, def := range []Definition{plaintext, encrypted} {
		if got := result(t, def, probetest.Ample); got.Outcome != probes.Failure {
			t.Errorf("%s of the other kind of server: got %+v", def.URL, got)
		}
	}
}

// frames is a server that reads the preface and speaks by a framer.
func frames(exchange func(*http2.Framer)) func(net.Conn) {
	return func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
			return
		}
		framer := http2.NewFramer(conn, conn)
		framer.AllowIllegalWrites = true
		exchange(framer)
	}
}

// headers are those of a response, in pairs.
func headers(framer *http2.Framer, end bool, pairs ...string) {
	var block strings.Builder
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(pairs); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	rest := []byte(block.String())
	fragment := rest[:min(len(rest), http2Frame)]
	rest = rest[len(fragment):]
	_ = framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: fragment, EndHeaders: len(rest) == 0, EndStream: end})
	for len(rest) > 0 {
		fragment, rest = rest[:min(len(rest), http2Frame)], rest[min(len(rest), http2Frame):]
		_ = framer.WriteContinuation(1, len(rest) == 0, fragment)
	}
}

// okay begins a response as gRPC does.
func okay(framer *http2.Framer) {
	_ = framer.WriteSettings()
	headers(framer, false, ":status", "200", "content-type", "application/grpc+proto")
}

// grpcMessage is one with this status.
func grpcMessage(status byte) []byte { return []byte{0, 0, 0, 0, 2, 8, status} }

func TestGRPCProbeThroughNginx(t *testing.T) {
	states := health.NewServer()
	backend, behind := grpcServer(t, states)
	ca := probetest.NewAuthority(t)
	plaintext, encrypted := probetest.Refusing(t), probetest.Refusing(t)
	server := servers.NewNginx(t)
	server.Serve(plaintext, fmt.Sprintf(`
		server { listen %s http2; location / { grpc_pass grpc://%s; } }
		server { listen %s ssl http2; %s location / { grpc_pass grpc://%[2]s; } }`,
		plaintext, behind, encrypted, server.TLS(inPEM(t, ca.Issue(t)))))
	probe := func(name string, timeout time.Duration, want probes.Result) {
		t.Helper()
		for _, def := range []Definition{at(plaintext, "grpc:///"), at(encrypted, "grpcs:///")} {
			def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
			if got := result(t, def, timeout); got != want {
				t.Errorf("%s, %s: got %+v, want %+v", name, def.URL, got, want)
			}
		}
	}
	probe("serving", probetest.Ample, probes.SuccessResult())
	states.SetServingStatus("", notServing)
	probe("not serving", probetest.Ample, probes.FailureResult(probes.ReasonNotServing))
	server.Freeze()
	probe("frozen", probetest.Brief, probes.FailureResult(probes.ReasonTimeout))
	server.Thaw()
	backend.Stop()
	probe("without a backend", probetest.Ample, probes.Result{Outcome: probes.Failure, Reason: probes.ReasonStatus, Code: 502})
	server.Stop()
	probe("stopped", probetest.Ample, probes.FailureResult(probes.ReasonConnectionRefused))
}

func TestGRPCProbeCanceled(t *testing.T) {
	accepted := make(chan struct{})
	testCanceled(t, at(probetest.Serve(t, func(net.Conn) { close(accepted) }), "grpc://"), accepted)
}

// TestGRPCProbeEndsPolitely looks at what the server reads.
func TestGRPCProbeEndsPolitely(t *testing.T) {
	seen := make(chan string, 10)
	addr := probetest.Serve(t, frames(func(framer *http2.Framer) {
		okay(framer)
		_ = framer.WriteData(1, false, grpcMessage(1))
		headers(framer, true, "grpc-status", "0")
		tellFrames(framer, seen)
	}))
	if got := result(t, at(addr, "grpc://"), probetest.Ample); got != probes.SuccessResult() {
		t.Fatalf("got %+v", got)
	}
	wantFrames(t, seen, "SETTINGS", "WINDOW_UPDATE", "HEADERS", "DATA", "SETTINGS", "WINDOW_UPDATE", "WINDOW_UPDATE", "GOAWAY")
}

// tellFrames hands on the types of the frames that come, until there are no more.
func tellFrames(framer *http2.Framer, seen chan<- string) {
	for {
		frame, err := framer.ReadFrame()
		if err != nil {
			seen <- err.Error()
			return
		}
		seen <- frame.Header().Type.String()
	}
}

// wantFrames tests that a server has seen these, and then the end.
func wantFrames(t *testing.T, seen <-chan string, types ...string) {
	t.Helper()
	for _, want := range append(types, io.EOF.Error()) {
		if got := <-seen; got != want {
			t.Errorf("the server saw %s, want %s", got, want)
		}
	}
}

// benchmarkGRPCProbe asks a server that costs as little as can be.
func benchmarkGRPCProbe(b *testing.B) {
	var answer bytes.Buffer
	framer := http2.NewFramer(&answer, nil)
	okay(framer)
	_ = framer.WriteData(1, false, grpcMessage(1))
	headers(framer, true, "grpc-status", "0")
	benchmark(b, at(probetest.Serve(b, func(conn net.Conn) {
		if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err == nil {
			_, _ = conn.Write(answer.Bytes())
		}
	}), "grpc:// service=shop.Cart"))
}

func benchmarkGRPCSProbe(b *testing.B) {
	ca := probetest.NewAuthority(b)
	_, addr := grpcServer(b, health.NewServer(), grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: []tls.Certificate{ca.Issue(b)}})))
	def := at(addr, "grpcs:///")
	def.TLS = &transport.TLSSettings{CABundle: ca.Bundle()}
	benchmark(b, def)
}
