output "subnet_ids" {
  description = "Public subnets, in two availability zones or more."
  value       = local.new ? [for zone in local.zones : aws_subnet.public[zone].id] : length(var.subnet_ids) > 0 ? var.subnet_ids : sort(data.aws_subnets.tagged[0].ids)

  # A subnet without its route is not yet public.
  depends_on = [aws_route_table_association.public]

  precondition {
    condition     = local.new || length(var.subnet_ids) > 0 || try(length(data.aws_subnets.tagged[0].ids), 0) >= 2
    error_message = "subnet_tags ${jsonencode(var.subnet_tags)} select fewer than two subnets of ${coalesce(var.vpc_id, "the VPC")}: a load balancer stands in two availability zones."
  }
}

output "vpc_id" {
  description = "The VPC."
  value       = local.new ? aws_vpc.this[0].id : var.vpc_id
}
