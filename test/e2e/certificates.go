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
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// authority signs certificates for users and servers in the cluster.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	// PEM is the authority's own certificate.
	PEM []byte
}

// identity is a certificate and its key in PEM.
type identity struct{ certificate, key []byte }

func newAuthority() (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := template(1, "farpoint-e2e", nil)
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	encoded, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("create the authority: %w", err)
	}
	certificate, err := x509.ParseCertificate(encoded)
	return &authority{certificate, key, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: encoded})}, err
}

func template(serial int64, name string, groups []string) *x509.Certificate {
	now := time.Now()
	return &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		Subject:      pkix.Name{CommonName: name, Organization: groups},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(24 * time.Hour),
	}
}

// client returns an identity for a user of the API.
func (a *authority) client(user string, groups ...string) (identity, error) {
	tmpl := template(time.Now().UnixNano(), user, groups)
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	return a.sign(tmpl)
}

// server returns an identity for a server at these addresses.
func (a *authority) server(addresses ...string) (identity, error) {
	tmpl := template(time.Now().UnixNano(), "server", nil)
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, address := range addresses {
		tmpl.IPAddresses = append(tmpl.IPAddresses, net.ParseIP(address))
	}
	return a.sign(tmpl)
}

// Authority signs certificates for hosts outside.
type Authority struct{ *authority }

// NewAuthority returns a new authority.
func NewAuthority() (*Authority, error) {
	ca, err := newAuthority()
	return &Authority{ca}, err
}

// Certificate is the certificate and key of a host outside, in PEM.
type Certificate struct{ Certificate, Key string }

// Sign makes a certificate for a host that is valid between two times.
func (a *Authority) Sign(addresses []netip.Addr, from, to time.Time) (Certificate, error) {
	tmpl := template(time.Now().UnixNano(), "outside", nil)
	tmpl.NotBefore, tmpl.NotAfter = from, to
	tmpl.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	for _, address := range addresses {
		tmpl.IPAddresses = append(tmpl.IPAddresses, address.AsSlice())
	}
	signed, err := a.sign(tmpl)
	return Certificate{string(signed.certificate), string(signed.key)}, err
}

func (a *authority) sign(tmpl *x509.Certificate) (identity, error) {
	key, encodedKey, err := newKey()
	if err != nil {
		return identity{}, err
	}
	tmpl.KeyUsage = x509.KeyUsageDigitalSignature
	encoded, err := x509.CreateCertificate(rand.Reader, tmpl, a.certificate, key.Public(), a.key)
	if err != nil {
		return identity{}, fmt.Errorf("sign the certificate of %s: %w", tmpl.Subject, err)
	}
	return identity{pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: encoded}), encodedKey}, nil
}

// newKey returns a key and its PEM.
func newKey() (crypto.Signer, []byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	encoded, err := x509.MarshalECPrivateKey(key)
	return key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: encoded}), err
}
