output "arn" {
  description = "ARN of the load balancer."
  value       = aws_lb.this.arn
}

output "arn_suffix" {
  description = "The part of the ARN that CloudWatch's dimension LoadBalancer takes."
  value       = aws_lb.this.arn_suffix
}

output "dns_name" {
  description = "The load balancer's own name."
  value       = aws_lb.this.dns_name
}

output "production_listener_arn" {
  description = "ARN of the production listener."
  value       = aws_lb_listener.production.arn
}

output "security_group_id" {
  description = "Security group of the load balancer: the only one that tasks admit."
  value       = aws_security_group.this.id
}

output "target_groups" {
  description = "Both colours: arn, arn_suffix and name."
  value = {
    for colour, group in aws_lb_target_group.this :
    colour => { arn = group.arn, arn_suffix = group.arn_suffix, name = group.name }
  }

  # ECS refuses a target group that no listener uses.
  depends_on = [aws_lb_listener.production, aws_lb_listener.test]
}

output "test_listener_arn" {
  description = "ARN of the test listener."
  value       = aws_lb_listener.test.arn
}

output "test_url" {
  description = "Where a release is seen before it gets production traffic."
  value       = "${lower(local.protocol)}://${local.host}:${var.test_port}"
}

output "url" {
  description = "Where people chat."
  value       = "${lower(local.protocol)}://${local.authority}"
}
