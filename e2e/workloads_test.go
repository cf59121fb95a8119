package e2e

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

var _ = Describe("workload", func() {
	It("is warned about, and its pods are denied until its image is mended", Label(devCluster), func(ctx SpecContext) {
		namespace := newNamespace(ctx)
		Expect(kubectl(ctx, "create", "deployment", "web", "--image=nginx:latest", "-n", namespace)).To(Equal(said{
			Stdout: "deployment.apps/web created\n",
			Stderr: notAllowed + `container "nginx" (spec.template.spec.containers[0].image) has image "nginx:latest"; its pods will be denied` + "\n",
		}))
		Eventually(func() string {
			return field(ctx, namespace, "deployment/web", `.status.conditions[?(@.type=="ReplicaFailure")].message`)
		}).WithContext(ctx).Should(ContainSubstring(
			`admission webhook "validating.image-webhook.dev" denied the request: container "nginx" (spec.containers[0].image) uses image "nginx:latest" (mirrored to `))
		Expect(succeed(ctx, "get", "pods", "-n", namespace, "-o", "name")).To(BeEmpty())
		Expect(kubectl(ctx, "scale", "deployment/web", "--replicas=2", "-n", namespace).Stderr).To(BeEmpty(), "nothing new is wrong")
		Expect(kubectl(ctx, "label", "deployment/web", "tier=front", "-n", namespace).Stderr).To(BeEmpty(), "nothing new is wrong")

		// It was given the pull policy Always when its tag was latest.
		succeed(ctx, "patch", "deployment/web", "-n", namespace, "-p", `{"spec":{"template":{"spec":{"containers":[{"name":"nginx","imagePullPolicy":"IfNotPresent"}]}}}}`)
		Expect(kubectl(ctx, "set", "image", "deployment/web", "nginx=nginx:1.25", "-n", namespace)).To(Equal(said{Stdout: "deployment.apps/web image updated\n"}))
		succeed(ctx, "rollout", "status", "deployment/web", "-n", namespace, "--timeout=60s")
		Expect(field(ctx, namespace, "deployment/web", ".spec.template.spec.containers[0].image")).To(Equal("nginx:1.25"), "a workload is never changed")
		Expect(field(ctx, namespace, "pods", ".items[*].spec.containers[0].image")).To(HavePrefix("docker.mirror.example/library/nginx:1.25"))
	})

	It("of a controller is not warned about: whoever made the owner was", func(ctx SpecContext) {
		const owned = `{"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"shop","ownerReferences":[
			{"apiVersion":"apps/v1","kind":"Deployment","name":"shop","uid":"4f2a","controller":true}]},
			"spec":{"selector":{"matchLabels":{"app":"shop"}},"template":{"metadata":{"labels":{"app":"shop"}},
			"spec":{"containers":[{"name":"app","image":"nginx:latest"}]}}}}`
		Expect(kubectlWith(ctx, owned, "create", "--dry-run=server", "-f", "-", "-n", dryRuns)).
			To(Equal(said{Stdout: "replicaset.apps/shop created (server dry run)\n"}))
	})

	DescribeTable("of each kind is warned about, and never refused or changed",
		func(ctx SpecContext, file, created, at string) {
			create := []string{"create", "--dry-run=server", "-f", "testdata/" + file, "-n", dryRuns}
			Expect(kubectl(ctx, create...)).To(Equal(said{
				Stdout: created + " created (server dry run)\n",
				Stderr: notAllowed + `container "app" (` + at + `.containers[0].image) has image "nginx:latest"; its pods will be denied` + "\n",
			}))
			Expect(succeed(ctx, append(create, "-o", "yaml")...)).
				To(And(ContainSubstring("image: nginx:latest"), ContainSubstring("image: busybox:1.36")))
		},
		Entry("Deployment", "deployment.yaml", "deployment.apps/shop", "spec.template.spec"),
		Entry("StatefulSet", "statefulset.yaml", "statefulset.apps/shop", "spec.template.spec"),
		Entry("DaemonSet", "daemonset.yaml", "daemonset.apps/shop", "spec.template.spec"),
		Entry("ReplicaSet", "replicaset.yaml", "replicaset.apps/shop", "spec.template.spec"),
		Entry("Job", "job.yaml", "job.batch/shop", "spec.template.spec"),
		Entry("CronJob", "cronjob.yaml", "cronjob.batch/shop", "spec.jobTemplate.spec.template.spec"),
		Entry("ReplicationController", "replicationcontroller.yaml", "replicationcontroller/shop", "spec.template.spec"),
		Entry("PodTemplate", "podtemplate.yaml", "podtemplate/shop", "template.spec"),
	)
})
