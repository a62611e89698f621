output "cluster_arn" {
  description = "ARN of the cluster."
  value       = aws_ecs_cluster.this.arn
}

output "cluster_name" {
  description = "Name of the cluster."
  value       = aws_ecs_cluster.this.name
}

output "execution_role_arn" {
  description = "Role that starts the tasks."
  value       = aws_iam_role.execution.arn
}

output "log_group_name" {
  description = "Log group of the chatbot."
  value       = aws_cloudwatch_log_group.this.name
}

output "placeholders" {
  description = "What taskdef.json and appspec.yaml are rendered with, without the image."
  value       = local.placeholders
}

output "rendered_task_definition" {
  description = "taskdef.json with its placeholders filled in."
  value       = local.rendered
}

output "service_arn" {
  description = "ARN of the service."
  value       = aws_ecs_service.this.id
}

output "service_name" {
  description = "Name of the service."
  value       = aws_ecs_service.this.name
}

output "task_family" {
  description = "Family of the task definitions."
  value       = aws_ecs_task_definition.this.family
}

output "task_role_arn" {
  description = "Role of the chatbot itself."
  value       = aws_iam_role.task.arn
}
