output "client_policy_arn" {
  description = "Attach this managed policy to the role of every function that runs the client."
  value       = aws_cloudformation_stack.flyball.outputs["ClientPolicyArn"]
}

output "client_variables" {
  description = "Environment variables of every function that runs the client."
  value       = { for pair in split(" ", aws_cloudformation_stack.flyball.outputs["ClientVariables"]) : split("=", pair)[0] => split("=", pair)[1] }
}

output "kill_switch_policy_arn" {
  description = "For the few who may put the whole fleet on its compiled-in defaults."
  value       = aws_cloudformation_stack.flyball.outputs["KillSwitchPolicyArn"]
}

output "operator_policy_arn" {
  description = "For people who may hold, open, close and release targets; null without the override function."
  value       = lookup(aws_cloudformation_stack.flyball.outputs, "OperatorPolicyArn", null)
}
