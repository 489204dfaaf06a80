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

package controllers

import (
	"context"
	"crypto/x509"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// +kubebuilder:rbac:groups="",resources=secrets;configmaps,verbs=get

// caBundle reads the certificates that spec.healthCheck.tls refers to; nil if it refers
// to none. The reader must not be a cache: that would hold every Secret of the cluster.
func caBundle(ctx context.Context, live client.Reader, owner *farpointv1.ExternalService) ([]byte, error) {
	tls := owner.Spec.HealthCheck.TLS
	switch {
	case tls == nil:
		return nil, nil
	case tls.CASecretRef != nil:
		secret := &corev1.Secret{}
		return bundleIn(ctx, live, owner.Namespace, "Secret", *tls.CASecretRef, secret, func(key string) []byte { return secret.Data[key] })
	case tls.CAConfigMapRef != nil:
		config := &corev1.ConfigMap{}
		return bundleIn(ctx, live, owner.Namespace, "ConfigMap", *tls.CAConfigMapRef, config, func(key string) []byte { return []byte(config.Data[key]) })
	}
	return nil, nil
}

// bundleIn reads an object and takes a key out of it.
func bundleIn(ctx context.Context, live client.Reader, namespace, kind string, reference farpointv1.KeyReference, object client.Object, value func(key string) []byte) ([]byte, error) {
	if err := live.Get(ctx, types.NamespacedName{Namespace: namespace, Name: reference.Name}, object); err != nil {
		return nil, fmt.Errorf("healthCheck.tls refers to %s %s: %w", kind, reference.Name, err)
	}
	bundle := value(reference.Key)
	if len(bundle) == 0 {
		return nil, fmt.Errorf("healthCheck.tls refers to key %q of %s %s, which is missing or empty", reference.Key, kind, reference.Name)
	}
	if !x509.NewCertPool().AppendCertsFromPEM(bundle) {
		return nil, fmt.Errorf("healthCheck.tls refers to key %q of %s %s, which holds no certificate: it must be PEM, with BEGIN CERTIFICATE lines", reference.Key, kind, reference.Name)
	}
	return bundle, nil
}
