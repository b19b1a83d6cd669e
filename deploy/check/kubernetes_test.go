package check_test

import (
	"path/filepath"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// The manifests build, have only fields that Kubernetes has, and agree with each other and the programs.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).
		Run(filesys.MakeFsOnDisk(), filepath.Join(root, "deploy/kubernetes"))
	if err != nil {
		t.Fatal(err)
	}
	var server appsv1.Deployment
	var agent appsv1.DaemonSet
	var service corev1.Service
	var namespace corev1.Namespace
	into := map[string]any{"Deployment": &server, "DaemonSet": &agent, "Service": &service, "Namespace": &namespace}
	for _, resource := range built.Resources() {
		target, ok := into[resource.GetKind()]
		if !ok {
			t.Errorf("the test does not check a %s", resource.GetKind())
			continue
		}
		text, err := resource.AsYAML()
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.UnmarshalStrict(text, target); err != nil {
			t.Errorf("%s %s: %v", resource.GetKind(), resource.GetName(), err)
		}
		if name := resource.GetNamespace(); resource.GetKind() != "Namespace" && name != namespace.Name {
			t.Errorf("%s is in the namespace %q", resource.GetName(), name)
		}
		delete(into, resource.GetKind())
	}
	if len(into) > 0 {
		t.Fatalf("missing: %v", into)
	}
	for name, pod := range map[string]struct {
		spec     corev1.PodTemplateSpec
		selector map[string]string
		known    map[string]bool
	}{
		"server": {server.Spec.Template, server.Spec.Selector.MatchLabels, serverVariables(t)},
		"agent":  {agent.Spec.Template, agent.Spec.Selector.MatchLabels, agentVariables(t)},
	} {
		for key, value := range pod.selector {
			if pod.spec.Labels[key] != value {
				t.Errorf("%s selects pods of others", name)
			}
		}
		c := pod.spec.Spec.Containers[0]
		if repository, tag, ok := strings.Cut(c.Image, ":"); !ok || tag == "latest" || repository != "snapwatch/"+name {
			t.Errorf("%s runs the image %s", name, c.Image)
		}
		for _, variable := range c.Env {
			if !pod.known[variable.Name] && variable.Name != "GOMEMLIMIT" {
				t.Errorf("the %s has no setting %s", name, variable.Name)
			}
		}
		if s := c.SecurityContext; s == nil || s.ReadOnlyRootFilesystem == nil || !*s.ReadOnlyRootFilesystem ||
			s.AllowPrivilegeEscalation == nil ||
			*s.AllowPrivilegeEscalation ||
			len(s.Capabilities.Drop) != 1 {
			t.Errorf("%s has more rights than it needs", name)
		}
		if c.Resources.Limits.Memory().IsZero() || c.Resources.Requests.Cpu().IsZero() {
			t.Errorf("%s has no limits or no requests", name)
		}
		mounted := make(map[string]bool)
		for _, volume := range pod.spec.Spec.Volumes {
			mounted[volume.Name] = true
		}
		for _, mount := range c.VolumeMounts {
			if !mounted[mount.Name] {
				t.Errorf("%s mounts %s, which is not a volume", name, mount.Name)
			}
		}
	}
	for key, value := range service.Spec.Selector {
		if server.Spec.Template.Labels[key] != value {
			t.Error("the service selects other pods than the server")
		}
	}
	port := service.Spec.Ports[0]
	var address string
	for _, variable := range agent.Spec.Template.Spec.Containers[0].Env {
		if variable.Name == "SNAPWATCH_SERVER" {
			address = variable.Value
		}
	}
	if address != "http://"+service.Name+"."+namespace.Name+".svc:8420" || port.Port != 8420 ||
		port.TargetPort.StrVal != server.Spec.Template.Spec.Containers[0].Ports[0].Name ||
		server.Spec.Template.Spec.Containers[0].Ports[0].ContainerPort != 8420 {
		t.Errorf("the agents post to %s, the service is %s.%s:%d", address, service.Name, namespace.Name, port.Port)
	}
	if spec := agent.Spec.Template.Spec; !spec.HostPID || !spec.HostNetwork {
		t.Error("the agent would record its container")
	}
	probes := server.Spec.Template.Spec.Containers[0]
	if probes.ReadinessProbe.HTTPGet.Path != "/readyz" || probes.LivenessProbe.HTTPGet.Path != "/healthz" ||
		probes.StartupProbe.HTTPGet.Path != "/readyz" {
		t.Error("the probes use other paths than the server has")
	}
}
