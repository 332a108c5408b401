# The stack of infra/template.yaml, deployed by Terraform: one definition of the installation, two ways in.
# Run `make package` first; docs/how-to/terraform.md leads through it.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40"
    }
  }
}

data "aws_partition" "here" {}

locals {
  dist      = "${path.module}/../../dist"
  bundles   = toset(["flyball-controller.zip", "flyball-validator.zip"])
  addresses = { for name in local.bundles : name => "${var.name}/${filesha256("${local.dist}/${name}")}/${name}" }

  # What `sam package` does: local code becomes an address in the bucket. The name holds the hash of the
  # content, so that new code is a new address and unchanged code deploys nothing.
  template = replace(
    replace(
      file("${path.module}/../template.yaml"),
      "../dist/flyball-controller.zip", "s3://${var.code_bucket}/${local.addresses["flyball-controller.zip"]}"
    ),
    "../dist/flyball-validator.zip", "s3://${var.code_bucket}/${local.addresses["flyball-validator.zip"]}"
  )
}

resource "aws_s3_object" "bundle" {
  for_each = local.bundles

  bucket      = var.code_bucket
  key         = local.addresses[each.key]
  source      = "${local.dist}/${each.key}"
  source_hash = filesha256("${local.dist}/${each.key}")
}

resource "aws_s3_object" "template" {
  bucket  = var.code_bucket
  key     = "${var.name}/${sha256(local.template)}/template.yaml"
  content = local.template
}

resource "aws_cloudformation_stack" "flyball" {
  name = var.name
  # From the bucket: the template is larger than what may be sent in a request.
  template_url = "https://${var.code_bucket}.s3.${var.region}.${data.aws_partition.here.dns_suffix}/${aws_s3_object.template.key}"
  capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
  parameters   = merge({ Prefix = var.name, Targets = join(",", var.targets) }, var.parameters)

  depends_on = [aws_s3_object.bundle]
}
