variable "name" {
  type        = string
  default     = "flyball"
  description = "Name of the stack and first part of every name in it (the template's Prefix)."
}

variable "region" {
  type        = string
  description = "Region of the code bucket and of the stack."
}

variable "code_bucket" {
  type        = string
  description = "An existing bucket in that region for bundles and template."
}

variable "targets" {
  type        = list(string)
  default     = []
  description = "Names of the targets; empty: those that the policy file names."
}

variable "parameters" {
  type        = map(string)
  default     = {}
  description = "Any other parameter of infra/template.yaml, by name."
}
