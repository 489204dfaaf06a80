//go:build linux && e2e

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

package e2e_test

import (
	"testing"
	"time"

	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	farpointv1 "farpoint.dev/farpoint/api/v1"
)

// awaitCondition waits until a condition of the scenario's object is as wanted, as in "True Published".
func (s *scenario) awaitCondition(kind, want string) {
	s.t.Helper()
	s.Eventually(func(g Gomega) string {
		object := &farpointv1.ExternalService{}
		g.Expect(s.ground.cluster.Client.Get(s.ctx, client.ObjectKeyFromObject(s.object), object)).To(Succeed())
		condition := meta.FindStatusCondition(object.Status.Conditions, kind)
		g.Expect(condition).NotTo(BeNil())
		return string(condition.Status) + " " + condition.Reason
	}).WithTimeout(30*time.Second).Should(Equal(want), kind)
}

// managers counts the Service's slices by their label managed-by.
func (s *scenario) managers() map[string]int {
	list := &discoveryv1.EndpointSliceList{}
	s.Expect(world.Client.List(s.ctx, list, client.InNamespace(s.namespace), client.MatchingLabels{discoveryv1.LabelServiceName: serviceName})).To(Succeed())
	counts := map[string]int{}
	for _, slice := range list.Items {
		counts[slice.Labels[discoveryv1.LabelManagedBy]]++
	}
	return counts
}

func (s *scenario) setSelector(selector map[string]string) {
	s.t.Helper()
	s.Eventually(func() error {
		if err := world.Client.Get(s.ctx, client.ObjectKeyFromObject(s.service), s.service); err != nil {
			return err
		}
		s.service.Spec.Selector = selector
		return world.Client.Update(s.ctx, s.service)
	}).WithTimeout(30 * time.Second).Should(Succeed())
}

// Kubernetes' own controllers write slices for a Service with a selector, and leave them behind when
// the Service loses the selector.
func TestSharingWithKubernetes(t *testing.T) {
	s := newScenario(t, "a Service that Kubernetes writes for as well", 1, quick)
	const (
		ours   = farpointv1.ManagedBy
		pods   = "endpointslice-controller.k8s.io"
		mirror = "endpointslicemirroring-controller.k8s.io"
	)
	s.create(s.endpoints())
	s.awaitCondition(farpointv1.NoConflictsCondition, "True NoConflicts")

	nodes := &corev1.NodeList{}
	s.Expect(world.Client.List(s.ctx, nodes)).To(Succeed())
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "pod", Labels: map[string]string{"app": "pod"}},
		Spec: corev1.PodSpec{
			NodeName:                     nodes.Items[0].Name,
			AutomountServiceAccountToken: ptr.To(false),
			Containers:                   []corev1.Container{{Name: "main", Image: "none"}},
		},
	}
	// Kubernetes creates its ServiceAccount a moment later.
	s.Eventually(func() error { return world.Client.Create(s.ctx, pod) }).WithTimeout(30 * time.Second).Should(Succeed())
	pod.Status = corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: "198.51.100.7", PodIPs: []corev1.PodIP{{IP: "198.51.100.7"}},
		Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
	}
	s.Expect(world.Client.Status().Update(s.ctx, pod)).To(Succeed())

	s.setSelector(map[string]string{"app": "pod"})
	s.awaitCondition(farpointv1.ReadyCondition, "False ServiceHasSelector")
	s.Eventually(s.managers).WithTimeout(30 * time.Second).Should(HaveKey(pods))
	s.Eventually(s.managers).WithTimeout(30 * time.Second).ShouldNot(HaveKey(ours))

	s.Eventually(func() error {
		if err := world.Client.Get(s.ctx, client.ObjectKeyFromObject(s.object), s.object); err != nil {
			return err
		}
		s.object.Spec.TargetService = &farpointv1.TargetServiceReference{AllowSelector: true}
		s.object.Spec.PublishEndpoints = true
		return world.Client.Update(s.ctx, s.object)
	}).WithTimeout(30 * time.Second).Should(Succeed())
	s.Eventually(s.managers).WithTimeout(30 * time.Second).Should(And(HaveKey(pods), HaveKey(ours)))
	s.awaitCondition(farpointv1.NoConflictsCondition, "True NoConflicts")
	s.awaitCondition(farpointv1.EndpointsPublishedCondition, "False ServiceHasSelector")

	s.setSelector(nil)
	s.awaitCondition(farpointv1.NoConflictsCondition, "False LeftoverPodSlices")
	s.Eventually(s.managers).WithTimeout(30 * time.Second).Should(And(HaveKey(pods), HaveKey(ours), HaveKey(mirror)))
	s.awaitCondition(farpointv1.EndpointsPublishedCondition, "False EndpointsNotOwned")

	s.Expect(world.Client.DeleteAllOf(s.ctx, &discoveryv1.EndpointSlice{}, client.InNamespace(s.namespace), client.MatchingLabels{discoveryv1.LabelServiceName: serviceName, discoveryv1.LabelManagedBy: pods})).To(Succeed())
	s.awaitCondition(farpointv1.NoConflictsCondition, "False MirroredEndpoints")
	s.Expect(world.Client.Delete(s.ctx, &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: serviceName}})).To(Succeed())
	s.awaitCondition(farpointv1.EndpointsPublishedCondition, "True EndpointsInStep")
	s.awaitCondition(farpointv1.NoConflictsCondition, "True NoConflicts")
	s.Eventually(s.managers).WithTimeout(30 * time.Second).Should(Equal(map[string]int{ours: 1}))
}
