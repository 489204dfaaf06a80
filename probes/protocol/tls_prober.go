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
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"time"

	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/transport"
)

// tlsProber checks that an endpoint completes a TLS handshake with a certificate that is
// in order.
type tlsProber struct {
	dialer *transport.Dialer
	to     transport.Destination
	client *transport.TLSClient
	// startTLS has the connection begin without TLS.
	startTLS StartTLS
	// steps are carried out over TLS.
	steps []Step
	// certificateRequested is set when the endpoint asks for a client certificate. A prober makes
	// one probe at a time.
	certificateRequested bool
}

// httpsPort is where TLS is met most often.
const httpsPort = 443

func newTLSProber(d *transport.Dialer, def Definition, u *url.URL) (probes.Prober, error) {
	to, err := streamDestination(d, def.withDefaultPort(httpsPort), u)
	if err == nil {
		err = endsAfterPort(u)
	}
	if err != nil {
		return nil, err
	}
	p := &tlsProber{dialer: d, to: to}
	if def.TCP != nil {
		p.startTLS, p.steps = def.TCP.StartTLS, def.TCP.Steps
	}
	if err := errors.Join(p.startTLS.validate(), validateSteps("tcp", p.steps)); err != nil {
		return nil, err
	}
	if p.client, err = d.NewTLSClient(def.TLS, to.Host()); err != nil {
		return nil, err
	}
	p.client.DisableResumption()
	p.client.Config.GetClientCertificate = p.clientCertificate(p.client.Config.Certificates)
	return p, nil
}

func (p *tlsProber) Location() probes.Location { return p.to.Location() }

func (p *tlsProber) Scheme() string { return "tls" }

// CertificateExpiry implements tlsInfo.
func (p *tlsProber) CertificateExpiry() time.Time { return p.client.CertificateExpiry() }

// CPUHeavy implements probes.CPUHeavyProber.
func (p *tlsProber) CPUHeavy() bool { return true }

// clientCertificate does what crypto/tls does without it, and remembers that it was
// called.
func (p *tlsProber) clientCertificate(ours []tls.Certificate) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(request *tls.CertificateRequestInfo) (*tls.Certificate, error) {
		p.certificateRequested = true
		for i := range ours {
			if request.SupportsCertificate(&ours[i]) == nil {
				return &ours[i], nil
			}
		}
		return &tls.Certificate{}, nil
	}
}

// Probe implements Prober.
func (p *tlsProber) Probe(ctx context.Context) probes.Result {
	if err := p.dialer.Converse(ctx, p.to, func(conn transport.Stream) error { return p.exchange(ctx, conn) }); err != nil {
		return transport.Classify(ctx, err)
	}
	return probes.SuccessResult()
}

func (p *tlsProber) exchange(ctx context.Context, conn transport.Stream) error {
	p.certificateRequested = false
	if err := p.startTLS.negotiate(conn); err != nil {
		return err
	}
	client, err := p.client.Handshake(ctx, conn)
	if err != nil {
		return err
	}
	if p.certificateRequested && len(p.steps) == 0 {
		_ = client.CloseWrite() // which servers answer, if they consent
		if err := refusal(client); err != nil {
			return err
		}
	}
	err = runSteps(client, p.steps)
	transport.EndTLS(ctx, conn, client, transport.Ending{})
	return err
}

// refusal waits for an endpoint's answer to our certificate. By TLS 1.3 it looks at that when
// the handshake is over on our side. What is no alert is consent.
func refusal(client *tls.Conn) error {
	_, err := client.Read(make([]byte, 1))
	if alert := new(net.OpError); errors.As(err, &alert) && alert.Op == "remote error" {
		return err
	}
	return nil
}
