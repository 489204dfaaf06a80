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
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"

	"farpoint.dev/farpoint/test/e2e/netns"
)

// faultPort is where the faulty API server is on the node.
const faultPort = "7443"

// Faults are what a faulty API server does to requests.
type Faults struct {
	// Delay before each request is handled.
	Delay time.Duration
	// Statuses are returned, at random, to this share of the requests.
	Statuses []int
	Share    float64
	// RetryAfter is the header Retry-After of such responses; empty for none.
	RetryAfter string
}

// FaultyServer is a proxy of the API server that injects faults.
type FaultyServer struct {
	// Address is its host and port.
	Address string

	server *http.Server
	faults atomic.Pointer[Faults]
	// injected counts the requests that got a status of the faults.
	injected atomic.Int64
}

// NewFaultyServer starts a server without faults.
func (c *Cluster) NewFaultyServer() (*FaultyServer, error) {
	node := c.Router()
	serving, err := c.controlPlane.ca.server(netns.APIService, node.Address.String())
	if err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(serving.certificate, serving.key)
	if err != nil {
		return nil, err
	}
	behind, err := url.Parse(c.controlPlane.url())
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(c.controlPlane.ca.PEM)
	faulty := &FaultyServer{Address: net.JoinHostPort(node.Address.String(), faultPort)}
	faulty.faults.Store(&Faults{})
	proxy := httputil.NewSingleHostReverseProxy(behind)
	proxy.Transport = &http.Transport{DialContext: node.DialContext, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: roots}}
	proxy.FlushInterval = -1 // watches
	quiet := log.New(io.Discard, "", 0)
	proxy.ErrorLog = quiet
	// A request that cannot be forwarded ends like a connection to an API server that dies.
	proxy.ErrorHandler = func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) }
	listener, err := node.Listen(faulty.Address)
	if err != nil {
		return nil, err
	}
	faulty.server = &http.Server{
		Handler:           faulty.injectInto(proxy),
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"h2", "http/1.1"}},
		ErrorLog:          quiet,
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() { _ = faulty.server.ServeTLS(listener, "", "") }() // until Stop
	return faulty, nil
}

// injectInto wraps a handler with the faults.
func (f *FaultyServer) injectInto(next http.Handler) http.Handler {
	return http.HandlerFunc(func(response http.ResponseWriter, request *http.Request) {
		faults := f.faults.Load()
		time.Sleep(faults.Delay)
		if len(faults.Statuses) == 0 || rand.Float64() >= faults.Share {
			next.ServeHTTP(response, request)
			return
		}
		f.injected.Add(1)
		if faults.RetryAfter != "" {
			response.Header().Set("Retry-After", faults.RetryAfter)
		}
		http.Error(response, "injected by the test", faults.Statuses[rand.IntN(len(faults.Statuses))])
	})
}

// Inject sets the faults from now on.
func (f *FaultyServer) Inject(faults Faults) { f.faults.Store(&faults) }

// Injected returns how many requests got a status of the faults.
func (f *FaultyServer) Injected() int64 { return f.injected.Load() }

// Stop closes the server and all its connections.
func (f *FaultyServer) Stop() error { return f.server.Close() }
