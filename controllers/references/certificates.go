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

package references

import (
	"context"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// +kubebuilder:rbac:groups="",resources=secrets;configmaps,verbs=get

// Reader reads Secrets and ConfigMaps of one namespace. Its errors name the object and never what
// is in it. Live must not be a cache, which would hold every Secret of the cluster.
type Reader struct {
	Live      client.Reader
	Namespace string
}

func (r Reader) get(ctx context.Context, object client.Object, name string) error {
	return r.Live.Get(ctx, types.NamespacedName{Namespace: r.Namespace, Name: name}, object)
}

// authorities reads PEM certificates from a Secret or ConfigMap.
func (r Reader) authorities(ctx context.Context, object client.Object, reference farpointv1.KeyReference) ([]byte, error) {
	kind := "Secret"
	if _, ok := object.(*corev1.ConfigMap); ok {
		kind = "ConfigMap"
	}
	if err := r.get(ctx, object, reference.Name); err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, reference.Name, err)
	}
	var bundle []byte
	switch object := object.(type) {
	case *corev1.Secret:
		bundle = object.Data[reference.Key]
	case *corev1.ConfigMap:
		bundle = []byte(object.Data[reference.Key])
	}
	if len(bundle) == 0 {
		return nil, fmt.Errorf("key %q of %s %s, which is missing or empty", reference.Key, kind, reference.Name)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("key %q of %s %s, which contains no certificate: write PEM, with BEGIN CERTIFICATE lines", reference.Key, kind, reference.Name)
	}
	return bundle, nil
}

// keyPair reads a certificate and its key from a Secret.
func (r Reader) keyPair(ctx context.Context, name string) (*tls.Certificate, error) {
	secret, kind := &corev1.Secret{}, "Secret"
	if err := r.get(ctx, secret, name); err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, name, err)
	}
	pair, err := tls.X509KeyPair(secret.Data[corev1.TLSCertKey], secret.Data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, fmt.Errorf("%s %s, whose keys tls.crt and tls.key are not a certificate and its private key in PEM: create it with kubectl create secret tls", kind, name)
	}
	if key, ok := pair.Leaf.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxRSABits {
		return nil, fmt.Errorf("%s %s, which contains an RSA key of %d bits, which makes every handshake too slow: use one of at most %d bits, or an ECDSA key", kind, name, key.N.BitLen(), maxRSABits)
	}
	return &pair, nil
}

// maxRSABits bounds the keys that handshakes are signed by. With 4,096 bits a signature takes 5
// ms of CPU, and with 8,192 more than 100.
const maxRSABits = 4096
